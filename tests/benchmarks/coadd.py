"""What it costs to build a patch of 4096 x 4096 px from 20 epochs.

``python tests/benchmarks/coadd.py`` simulates epochs that are turned and shifted
against the patch, with stars, variable seeing and cosmic rays, and has the pipeline of
template-update events build the patch: files in, stored version out, in one thread of
a process of its own, with each coadder. It prints the time of the processor by stage,
in seconds and in fft units per epoch (one `scipy.fft.rfft2` of 4096 x 4096 float32 in
one thread of that process), and the largest resident memory, libraries and mapped files
included.

The epochs, their warps and the stack take 0.6 GB of disk each (``TMPDIR``).
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import click
import numpy as np
import scipy.fft
from astropy.io import fits
from rich.console import Console
from rich.table import Table

from streamdiff import log as logs
from streamdiff.adapters.avro.events import decode_event, encode_event
from streamdiff.adapters.fits.celestial import wcs_header
from streamdiff.adapters.worker_process import worker_environment
from streamdiff.app import wiring
from streamdiff.app.demo.files import write_exposures
from streamdiff.app.environment import find_plugins
from streamdiff.config import Settings, from_tree
from streamdiff.model import Action, Exposure, TemplateId, TemplateUpdate
from streamdiff.pipeline.templates import TemplatePipeline
from streamdiff.ports import ConsumedRecord
from streamdiff.testing import CosmicRays, Scene
from streamdiff_coadd import streamdiff_coadders

UNIT_SIDE, UNIT_REPEATS = 4096, 9
DENSITY_PER_MPX, RAYS_PER_MPX = 500.0, 20
MOST_GIB = 2.5
TOPIC = "streamdiff.template-update"


@click.group(invoke_without_command=True, help=__doc__)
@click.option("--side", default=4096)
@click.option("--epochs", default=20)
@click.option("--coadd", "coadders", multiple=True, default=(*streamdiff_coadders(),))
@click.option("--files", type=click.Path(path_type=Path), help="Kept, and used again.")
@click.pass_context
def main(
    context: click.Context,
    side: int,
    epochs: int,
    coadders: tuple[str, ...],
    files: Path | None,
) -> None:
    """Print a table for each coadder."""
    if context.invoked_subcommand:
        return
    with folder_of(files) as folder:
        if not (folder / "update.avro").exists():
            simulate(folder, side, epochs)
        for coadd in coadders:
            tell(measured(folder, coadd))


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("coadd")
def one(folder: Path, coadd: str) -> None:
    """Print what a build with one coadder cost, as JSON."""
    click.echo(json.dumps(measure(folder, coadd)))


def simulate(folder: Path, side: int, n_epochs: int) -> None:
    """Write the epochs, the patch, and the event that builds it."""
    scene = Scene.star_field(
        shape=(side, side), density_per_mpx=DENSITY_PER_MPX, seed=1
    )
    visits = [
        visit
        for epoch in epochs(scene, n_epochs)
        for visit in write_exposures([epoch], folder / "images", lambda: None)
    ]
    header = wcs_header(scene.wcs)
    header.update({"IMAGEW": side, "IMAGEH": side})
    tile = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(header=header)])
    tile.writeto(folder / "tiles.fits")
    update = TemplateUpdate(
        event_id="benchmark",
        tract=0,
        patch=0,
        band=visits[0].band,
        action=Action.ADD,
        exposures=tuple(visits),
        published_at=datetime.now(UTC),
    )
    (folder / "update.avro").write_bytes(encode_event(update))


def epochs(scene: Scene, n_epochs: int) -> Iterator[Exposure]:
    """Yield what is seen of the scene, each time a little beside it."""
    rng = np.random.default_rng(0)
    rays = CosmicRays(n=round(RAYS_PER_MPX * scene.shape[0] * scene.shape[1] / 1e6))
    for number in range(n_epochs):
        dx, dy = rng.uniform(-20, 20, 2)
        yield scene.observe(
            visit=number + 1,
            seed=number,
            mjd=61000.0 + number,
            fwhm=rng.uniform(3.0, 4.5),
            wcs=scene.dithered_wcs(rotation_deg=rng.uniform(-0.5, 0.5), dx=dx, dy=dy),
            artifacts=(rays,),
        )


def settings(folder: Path, store: str, coadd: str) -> Settings:
    """Return the configuration of a run that stores what it builds in a folder."""
    return from_tree(
        {
            "stream": {"transport": "memory", "http": ""},
            "store": {
                "uri": Path(store).as_uri(),
                "skymap": {"tiles": str(folder / "tiles.fits")},
            },
            "input": {"roots": [(folder / "images").resolve().as_uri()]},
            "pipeline": {"coadd": coadd},
        }
    )


def measured(folder: Path, coadd: str) -> dict:
    """Return what `measure` tells in a new process."""
    done = subprocess.run(  # noqa: S603 - this very program
        [sys.executable, __file__, "one", str(folder), coadd],
        env=os.environ | worker_environment(threads=1),
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure(folder: Path, coadd: str) -> dict:
    """Return what the patch costs; called in a process of its own."""
    logs.configure(level="error")
    value = (folder / "update.avro").read_bytes()
    update = decode_event(
        ConsumedRecord(topic=TOPIC, partition=0, offset=0, key=None, value=value)
    )
    with tempfile.TemporaryDirectory() as kept:
        chosen = settings(folder, kept, coadd)
        store = wiring.template_store(chosen)
        files, registry = wiring.rooted_files(chosen), find_plugins()
        pipeline = replace(
            wiring.template_pipeline(chosen, registry, files, store),
            monotonic=time.process_time,
        )
        compile_loops(pipeline)
        began = time.process_time()
        with scipy.fft.set_workers(1):
            result = pipeline(update)
        total = time.process_time() - began
    stages = dict(result.stage_seconds)
    stages["encoding, storing"] = total - sum(stages.values())
    return {
        "title": f"{coadd}, {len(update.exposures)} epochs: {result.outcome}",
        "n_epochs": len(update.exposures),
        "metrics": dict(result.metrics),
        "stages": stages,
        "seconds": total,
        "peak_gib": peak_gib(),
        "unit_s": unit_s(),
    }


def compile_loops(pipeline: TemplatePipeline) -> None:
    """Have what is compiled at its first call compiled."""
    scene = Scene(shape=(64, 64))
    warps = [
        pipeline.warper.warp(scene.observe(visit=n), scene.dithered_wcs(dx=n), (60, 60))
        for n in (1, 2, 3)
    ]
    pipeline.coadder.coadd(TemplateId(tract=0, patch=0, band="r"), warps)


def peak_gib() -> float:
    """Return the largest resident memory of this process [GiB].

    That of `resource.getrusage` would include the process that started this one.
    """
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+)", status)[1]) / 2**20


def unit_s() -> float:
    """Return how long one Fourier transform takes [s]."""
    plane = np.random.default_rng(0).standard_normal((UNIT_SIDE, UNIT_SIDE), np.float32)
    seconds = []
    for _ in range(UNIT_REPEATS):
        began = time.process_time()
        scipy.fft.rfft2(plane, workers=1)
        seconds.append(time.process_time() - began)
    return median(seconds)


def tell(result: dict) -> None:
    """Print what a build cost."""
    table = Table(title=result["title"], box=None)
    for heading in ("stage", "s", "fft units per epoch"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for stage, seconds in (result["stages"] | {"all": result["seconds"]}).items():
        per_epoch = seconds / result["unit_s"] / result["n_epochs"]
        table.add_row(stage, f"{seconds:.1f}", f"{per_epoch:.1f}")
    console = Console()
    console.print(table)
    console.print(
        f"{result['peak_gib']:.2f} GiB at most, of {MOST_GIB}; one fft unit took "
        f"{result['unit_s']:.3f} s; {result['metrics']['clipped_fraction']:.2%} of "
        "the pixels were clipped."
    )


@contextmanager
def folder_of(kept: Path | None) -> Iterator[Path]:
    """Give the folder of the epochs."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


if __name__ == "__main__":
    main()
