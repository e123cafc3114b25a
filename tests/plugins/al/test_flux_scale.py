"""The kernel sum, the flux scale of every alert, is right whatever the noise."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.testing import GaussianProfile, PointSource, Scene
from streamdiff_al import AlardLuptonSubtractor, Direction

SHAPE, MARGIN, N_STARS, N_PAIRS = (320, 320), 28, 60, 8
FWHM = 5.65
# LSST's stars: S/N of 60 to 120 in unit noise.
FLUXES = (500, 1000)
SCALE = 0.8
# What is allowed beside the statistical error of the mean.
BIAS = 0.003


def observe(rng, light, noise):
    """Return an image of some light with white noise, and a variance that says so."""
    empty = Scene(shape=SHAPE).observe(fwhm=FWHM)
    return replace(
        empty,
        image=np.float32(light + rng.normal(0, noise, SHAPE)),
        variance=np.full(SHAPE, noise**2, np.float32),
    )


def kernel_sum(seed, noises, **options):
    """Return that of one pair of images of the same PSF."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(MARGIN, SHAPE[0] - MARGIN, (N_STARS, 2)).tolist()
    fluxes = rng.uniform(*FLUXES, N_STARS).tolist()
    stars = (PointSource(*xy, flux) for xy, flux in zip(places, fluxes, strict=True))
    light = Scene(shape=SHAPE, sources=tuple(stars)).render(GaussianProfile(fwhm=FWHM))
    science = observe(rng, SCALE * light, noises[0])
    template = observe(rng, light, noises[1])
    return AlardLuptonSubtractor(**options).subtract(science, template).kernel_sum


@pytest.mark.parametrize(
    ("direction", "noises"),
    [
        (Direction.TEMPLATE, (1, 1)),
        (Direction.TEMPLATE, (0.1, 1)),
        (Direction.COMMON, (0.1, 1)),
    ],
)
def test_noise_of_either_image_does_not_change_the_flux_scale(direction, noises):
    sums = [
        kernel_sum(seed, noises, direction=direction, kernel_order=0)
        for seed in range(N_PAIRS)
    ]
    error = np.std(sums, ddof=1) / np.sqrt(N_PAIRS)
    assert abs(np.mean(sums) / SCALE - 1) <= BIAS + 2 * error / SCALE
