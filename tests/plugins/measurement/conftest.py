"""Images with known changes on them."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from streamdiff.model import (
    DETECTION_COLUMNS,
    Convolved,
    DiaSources,
    Difference,
    Exposure,
    FluxScale,
    Noise,
)
from streamdiff.stages import Images
from streamdiff.testing import PointSource, Scene, Source


def sources_at(
    x: NDArray[np.float64], y: NDArray[np.float64], *, negative: bool = False
) -> DiaSources:
    """Return a table as a source finder gives it."""
    n = len(x)
    values = {
        "x": x,
        "y": y,
        "snr": np.full(n, 5.0),
        "isNegative": np.full(n, negative),
        "bboxSize": np.full(n, 9),
        "footprintArea": np.full(n, 60),
    }
    return DiaSources(DETECTION_COLUMNS, values)


def observe(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    flux: NDArray[np.float64],
    shape: tuple[int, int] = (256, 256),
    **observing: object,
) -> Images:
    """Return an exposure of stars, an empty template, and their difference."""
    points = zip(x, y, np.broadcast_to(flux, np.shape(x)), strict=True)
    scene = Scene(sources=tuple(PointSource(*p) for p in points), shape=shape)
    science = scene.observe(**observing)
    template = Scene(shape=shape).observe(seed=9, noise=1e-3)
    return Images(difference=difference_of(science), science=science, template=template)


def observe_both(
    science: Iterable[Source],
    template: Iterable[Source],
    *,
    noise: tuple[float, float] = (10.0, 5.0),
    **observing: object,
) -> Images:
    """Return exposures of equal seeing, and what is left of the first."""
    of_science, of_template = (
        Scene(sources=tuple(sources), shape=(1024, 1024)).observe(
            noise=sigma, seed=seed, **observing
        )
        for seed, sigma, sources in zip((1, 2), noise, (science, template), strict=True)
    )
    difference = replace(
        difference_of(of_science),
        image=of_science.image - of_template.image,
        variance=of_science.variance + of_template.variance,
    )
    return Images(difference=difference, science=of_science, template=of_template)


def difference_of(exposure: Exposure) -> Difference:
    """Return an exposure as the difference to an empty template."""
    return Difference(
        id=exposure.id,
        image=exposure.image,
        variance=exposure.variance,
        mask=exposure.mask,
        psf=exposure.psf,
        wcs=exposure.wcs,
        flux_scale=FluxScale.TEMPLATE,
        kernel_sum=1.0,
        convolved=Convolved.NONE,
        noise=Noise.WHITE,
    )


@pytest.fixture(name="observe", scope="session")
def observe_fixture() -> Callable[..., Images]:
    """Return `observe`."""
    return observe


@pytest.fixture(name="observe_both", scope="session")
def observe_both_fixture() -> Callable[..., Images]:
    """Return `observe_both`."""
    return observe_both


@pytest.fixture(name="sources_at", scope="session")
def sources_at_fixture() -> Callable[..., DiaSources]:
    """Return `sources_at`."""
    return sources_at


@pytest.fixture(scope="module")
def field() -> tuple[Images, NDArray[np.float64], NDArray[np.float64]]:
    """Return 8,100 stars of S/N 5 to 100 and both signs, and their positions.

    The positions are x and y, shape (2, n), and the fluxes are of shape (n,).
    """
    rng = np.random.default_rng(3)
    places = np.mgrid[20:2180:24, 20:2180:24].reshape(2, -1)[::-1]
    places = places + rng.uniform(-0.5, 0.5, places.shape)
    n = places.shape[1]
    # Of a PSF of 4 px FWHM in noise of 10, a flux of 60 has a S/N of 1.
    flux = 60 * rng.uniform(5, 100, n) * rng.choice([-1, 1], n)
    images = observe(*places, flux, shape=(2200, 2200), fwhm=4.0, noise=10.0, seed=5)
    return images, places, flux
