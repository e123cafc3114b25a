"""How many alerts per second are packaged and encoded on one core.

Run it with ``OMP_NUM_THREADS=1 python tests/benchmarks/alerts.py``. Packaging is
`streamdiff.pipeline.alerts.make_alerts`: a table and three images become alerts with
three cutouts each; encoding makes messages of them. The limits are 2,000 alerts per
second without history, and 800 with 10 previous sources each, by the CPU time of this
process in the format ``streamdiff``.
"""

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from streamdiff.adapters.avro.plugin import streamdiff_alert_formats
from streamdiff.adapters.avro.schemas import load
from streamdiff.config import PipelineSettings
from streamdiff.model import (
    DETECTION_COLUMNS,
    Alert,
    Column,
    ConstantPsf,
    Convolved,
    DiaSources,
    Difference,
    FluxScale,
    Noise,
    Provenance,
    TemplateUse,
    VisitReady,
)
from streamdiff.model.varying_psf import PolynomialPsf, sample_on_grid
from streamdiff.pipeline.alerts import make_alerts
from streamdiff.stages import Images
from streamdiff.testing import MoffatProfile, Scene
from streamdiff_measurement import streamdiff_measurers

SIDE, N, REPEATS = 2048, 250, 15
N_HISTORY = 10
LIMITS = {0: 2000.0, N_HISTORY: 800.0}
EVENT = VisitReady(
    event_id="0f0e8f5c-5c1b-4c38-9d5e-5d1c4b1d7f51",
    instrument="SimCam",
    visit=2026030500055,
    detector=140,
    band="r",
    midpoint_mjd_tai=61105.125,
    exposure_time_s=30.0,
    image_uri="file:///data/140.fits",
    published_at=datetime(2026, 3, 5, tzinfo=UTC),
)
USES = (TemplateUse(template_id="deep/1/2/r", version=7, fraction=1.0),)
PROVENANCE = Provenance(
    plugins={kind: f"{kind} streamdiff 1.0" for kind in ("read", "find", "subtract")},
    config_hash="c0ffee" * 8,
    software_version="1.0",
)


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """How long something took.

    Attributes
    ----------
    cpu, wall : float
        Time of this process, and by the clock [s].
    """

    cpu: float
    wall: float

    @classmethod
    def of(cls, work: Any) -> tuple["Seconds", Any]:
        """Return how long a piece of work took, and its result."""
        cpu, wall = time.process_time(), time.perf_counter()
        result = work()
        return cls(
            cpu=time.process_time() - cpu, wall=time.perf_counter() - wall
        ), result


def main() -> int:
    """Print the table; return 1 if a limit is missed."""
    images, sources = visit()
    table = Table(title=f"{N} alerts, three cutouts each, one core", box=None)
    headings = ("previous sources", "format", "packaged", "encoded", "both", "by clock")
    for heading in (*headings, "bytes"):
        table.add_column(heading, justify="left" if heading == "format" else "right")
    missed = False
    for n_previous, limit in LIMITS.items():
        for name in ("streamdiff", "single_object", "ocf"):
            encode = streamdiff_alert_formats()[name]().encode
            runs = [run(images, sources, n_previous, encode) for _ in range(REPEATS)]
            made, encoded, size = min(runs, key=lambda r: r[0].cpu + r[1].cpu)
            rate = N / (made.cpu + encoded.cpu)
            missed |= name == "streamdiff" and rate < limit
            table.add_row(
                str(n_previous),
                name,
                f"{N / made.cpu:.0f} /s",
                f"{N / encoded.cpu:.0f} /s",
                f"{rate:.0f} /s",
                f"{N / (made.wall + encoded.wall):.0f} /s",
                f"{size:.0f}",
            )
    Console().print(table)
    return int(missed)


def run(
    images: Images,
    sources: DiaSources,
    n_previous: int,
    encode: Any,
) -> tuple[Seconds, Seconds, float]:
    """Return how long alerts are made and encoded, and their mean size."""
    made, alerts = Seconds.of(
        lambda: make_alerts(EVENT, sources, images, USES, PROVENANCE)
    )
    alerts = with_history(alerts, n_previous)
    encoded, messages = Seconds.of(lambda: [encode(alert) for alert in alerts])
    return made, encoded, sum(map(len, messages)) / N


def with_history(alerts: Sequence[Alert], n_previous: int) -> Sequence[Alert]:
    """Return the alerts with their DiaObjects and earlier sources.

    These are copies, as rows of a database are.
    """
    if not n_previous:
        return alerts
    rows = [alert.dia_source for alert in alerts]
    return [
        replace(
            alert,
            dia_object=dia_object(i),
            prv_dia_sources=tuple(earlier(rows, i, n_previous)),
        )
        for i, alert in enumerate(alerts)
    ]


def earlier(rows: Sequence[Any], i: int, n: int) -> Iterable[dict[str, Any]]:
    """Yield n earlier DiaSources of an object."""
    for k in range(n):
        yield rows[(i + k) % N] | {"midpointMjdTai": 61000.0 + k, "diaObjectId": i + 1}


def dia_object(i: int) -> dict[str, Any]:
    """Return the summary of a DiaObject with statistics in every band."""
    summary = {field["name"]: i + 0.25 for field in load("diaObject")["fields"]}
    return summary | {
        name: i + 1 for name in summary if name.endswith(("Id", "Ndata", "nDiaSources"))
    }


def visit() -> tuple[Images, DiaSources]:
    """Return the images of a visit with PSFs that vary, and all measurements."""
    rng = np.random.default_rng(0)
    observed = Scene(sources=(), shape=(SIDE, SIDE)).observe(
        profile=MoffatProfile(fwhm=4.0), noise=10.0, seed=1
    )
    stamp = ConstantPsf(observed.psf.centred_at(0, 0)).stamp
    varying = PolynomialPsf(
        coefficients=np.stack([stamp, *(1e-3 * rng.normal(size=(5, *stamp.shape)))]),
        image_shape=(SIDE, SIDE),
    )
    science = observed.with_psf(varying)
    template = observed.with_psf(sample_on_grid(varying, (SIDE, SIDE)))
    difference = Difference(
        id=science.id,
        image=science.image,
        variance=science.variance,
        mask=science.mask,
        psf=template.psf,
        wcs=science.wcs,
        flux_scale=FluxScale.TEMPLATE,
        kernel_sum=1.0,
        convolved=Convolved.NONE,
        noise=Noise.WHITE,
    )
    images = Images(difference=difference, science=science, template=template)
    return images, DiaSources(columns(), {c.name: values(rng, c) for c in columns()})


def columns() -> tuple[Column, ...]:
    """Return the columns of a table that every measurer has filled."""
    measurers = [streamdiff_measurers()[name]() for name in PipelineSettings().measure]
    measured = (column for measurer in measurers for column in measurer.columns)
    return tuple({c.name: c for c in (*DETECTION_COLUMNS, *measured)}.values())


def values(rng: np.random.Generator, column: Column) -> np.ndarray:
    """Return values of a column: a tenth of its floats are missing."""
    if column.name in {"x", "y"}:
        return rng.uniform(0, SIDE, N)
    if column.name == "bboxSize":
        return rng.integers(5, 40, N)
    if np.dtype(column.dtype).kind != "f":
        return rng.integers(0, 2, N)
    return np.where(rng.uniform(size=N) < 0.1, np.nan, rng.normal(100, 10, N))


if __name__ == "__main__":
    sys.exit(main())
