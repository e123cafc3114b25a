"""Point sources, cosmic rays and dipoles on one simulated image, all measured."""

from dataclasses import replace

import numpy as np
import pytest

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
from streamdiff.testing import PointSource, Scene
from streamdiff_measurement import streamdiff_measurers

SHAPE, STEP, FWHM, NOISE = (640, 640), 40, 3.5, 10.0
KINDS = ("point", "spike", "dipole")


@pytest.fixture(scope="session")
def places():
    """Return whole pixels, x and y of shape (2, n)."""
    return np.mgrid[40:601:STEP, 40:601:STEP].reshape(2, -1)[::-1]


@pytest.fixture(scope="session")
def kind(places):
    """Return what is at each place."""
    return np.resize(KINDS, places.shape[1])


@pytest.fixture(scope="session")
def images(places, kind):
    """Return what was observed, and the difference."""
    rng = np.random.default_rng(2)
    flux = 50 * 10 ** rng.uniform(1.2, 2, places.shape[1])
    science, template = [], []
    for x, y, size, what in zip(*places.astype(float), flux, kind, strict=True):
        if what == "point":
            science.append(PointSource(x + 0.2, y, size))
        if what == "dipole":
            science.append(PointSource(x + 0.3, y, 20 * size))
            template.append(PointSource(x - 0.3, y, 20 * size))
    of_science, of_template = (
        Scene(sources=tuple(sources), shape=SHAPE).observe(
            fwhm=FWHM, noise=noise, seed=seed
        )
        for seed, noise, sources in ((1, NOISE, science), (2, 3.0, template))
    )
    struck = of_science.image.copy()
    x, y = places[:, kind == "spike"]
    struck[y, x] += flux[kind == "spike"] / 4
    difference = Difference(
        id=of_science.id,
        image=struck - of_template.image,
        variance=of_science.variance + of_template.variance,
        mask=of_science.mask,
        psf=of_science.psf,
        wcs=of_science.wcs,
        flux_scale=FluxScale.TEMPLATE,
        kernel_sum=1.0,
        convolved=Convolved.NONE,
        noise=Noise.WHITE,
    )
    return Images(
        difference=difference,
        science=replace(of_science, image=struck),
        template=of_template,
    )


def table(places):
    """Return DiaSources as a finder gives them."""
    n = places.shape[1]
    values = {
        "x": places[0],
        "y": places[1],
        "snr": np.full(n, 9.0),
        "isNegative": np.zeros(n, bool),
        "bboxSize": np.full(n, 11),
        "footprintArea": np.full(n, 90),
    }
    return DiaSources(DETECTION_COLUMNS, values)


def measured(sources, images):
    """Return the table with the columns of the default configuration."""
    for name in PipelineSettings().measure:
        measurer = streamdiff_measurers()[name]()
        values = measurer.measure(sources, images)
        sources = sources.with_columns(measurer.columns, values)
    return sources


@pytest.fixture(scope="session")
def sources(places, images):
    """Return the measured DiaSources, one at each place."""
    return measured(table(places), images)


@pytest.fixture(scope="session")
def bare(places):
    """Return DiaSources that nothing has measured."""
    return table(places)


@pytest.fixture(scope="session")
def measure():
    """Return `measured`."""
    return measured
