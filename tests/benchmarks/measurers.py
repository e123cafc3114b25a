"""How long finder and measurers take for 1,000 DiaSources of a 4096 x 4096 difference.

Run it with ``OMP_NUM_THREADS=1 python tests/benchmarks/measurers.py``: times are those
of the processor, of one thread then, the least of several in turn, in seconds and in
fft units, one `scipy.fft.rfft2` of 4096 x 4096 float32.
"""

import time
from collections.abc import Callable

import numpy as np
import scipy.fft
from rich.console import Console
from rich.table import Table

from streamdiff.config import PipelineSettings
from streamdiff.model import (
    DETECTION_COLUMNS,
    Convolved,
    DiaSources,
    Difference,
    FluxScale,
    Noise,
)
from streamdiff.stages import Images
from streamdiff.testing import (
    MoffatProfile,
    PointSource,
    Scene,
    TrailedSource,
    VaryingProfile,
)
from streamdiff_detection import ScorePeaksFinder
from streamdiff_measurement import streamdiff_measurers

SIDE, N, REPEATS = 4096, 1000, 5
NOISE, FWHM = 10.0, 4.0
# Of every fifty: a trail, stars that moved, negative ones; the others appeared.
CYCLE, TRAILED, MOVED, FADED = 50, 1, 6, 20
# Of a point source with a S/N of 1 [nJy].
UNIT_FLUX = 65.0


def main() -> None:
    """Print the table."""
    images, sources = simulated()
    work: dict[str, Callable[[], object]] = {"unit": transform()}
    for name in PipelineSettings().measure:
        measurer = streamdiff_measurers()[name]()
        work[name] = lambda m=measurer, s=sources: m.measure(s, images)
        sources = sources.with_columns(
            measurer.columns, measurer.measure(sources, images)
        )
    finder = ScorePeaksFinder()
    work["score_peaks"] = lambda: finder.find(images.difference)
    seconds = least_seconds(work)
    unit, finding = seconds.pop("unit"), seconds.pop("score_peaks")
    table = Table(title=f"{N} DiaSources, {SIDE} x {SIDE} px", box=None)
    for heading in ("part", "s", "fft units"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    seconds["all measurers"] = sum(seconds.values())
    for name, least in (seconds | {"score_peaks": finding}).items():
        table.add_row(name, f"{least:.3f}", f"{least / unit:.2f}")
    Console().print(table)
    Console().print(f"One fft unit took {unit:.3f} s.")


def transform() -> Callable[[], object]:
    """Return the unit of the times."""
    noise = np.random.default_rng(0).standard_normal((SIDE, SIDE), np.float32)
    return lambda: scipy.fft.rfft2(noise, workers=1)


def least_seconds(work: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return how long each takes, the least of some rounds.

    What else runs on the machine slows all of a round down.
    """
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(REPEATS):
        for name, call in work.items():
            start = time.process_time()
            call()
            seconds[name].append(time.process_time() - start)
    return {name: min(each) for name, each in seconds.items()}


def simulated() -> tuple[Images, DiaSources]:
    """Return a visit on which much has happened, and where."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, SIDE, (2, N))
    kind = np.arange(N) % CYCLE
    flux = UNIT_FLUX * 10 ** rng.uniform(0.7, 2, N)
    science, template = [], []
    for u, v, size, k in zip(x, y, flux, kind, strict=True):
        if TRAILED <= k < MOVED:
            science.append(PointSource(u + 0.3, v, 10 * size))
            template.append(PointSource(u - 0.3, v, 10 * size))
        elif k < TRAILED:
            science.append(TrailedSource(u, v, 3 * size, 4 * FWHM, 30.0))
        else:
            (template if k < FADED else science).append(PointSource(u, v, size))
    profile = VaryingProfile(middle=MoffatProfile(fwhm=FWHM))
    of_science, of_template = (
        Scene(sources=tuple(sources), shape=(SIDE, SIDE)).observe(
            profile=profile, noise=noise, seed=seed
        )
        for seed, noise, sources in ((1, NOISE, science), (2, NOISE / 2, template))
    )
    difference = Difference(
        id=of_science.id,
        image=of_science.image - of_template.image,
        matched_template=of_template.image,
        variance=of_science.variance + of_template.variance,
        mask=of_science.mask,
        psf=of_science.psf,
        wcs=of_science.wcs,
        flux_scale=FluxScale.TEMPLATE,
        kernel_sum=1.0,
        convolved=Convolved.NONE,
        noise=Noise.WHITE,
    )
    images = Images(difference=difference, science=of_science, template=of_template)
    peak = np.rint([x, y]).clip(0, SIDE - 1).astype(float)
    values = {
        "x": peak[0],
        "y": peak[1],
        "snr": flux / UNIT_FLUX,
        "isNegative": (kind >= MOVED) & (kind < FADED),
        "bboxSize": np.full(N, 15),
        "footprintArea": np.full(N, 150),
    }
    return images, DiaSources(DETECTION_COLUMNS, values)


if __name__ == "__main__":
    main()
