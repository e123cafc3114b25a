from dataclasses import replace

import numpy as np
import pytest

from streamdiff.model import (
    Convolved,
    Difference,
    ExposureId,
    FluxScale,
    Noise,
)
from streamdiff.model.psf import noise_equivalent_area
from streamdiff.testing import GaussianProfile, PointSource, Scene
from streamdiff_detection import ScorePeaksFinder

SHAPE = (256, 256)
PROFILE = GaussianProfile(fwhm=4.0)
# Cosmic rays are to be told by the width of their peaks alone.
BY_WIDTH = {"cosmic_ray_sigma": np.inf}
SIGMA = np.sqrt(noise_equivalent_area(PROFILE.stamp()))


def blank(seed=1):
    rng = np.random.default_rng(seed)
    return Difference(
        id=ExposureId(instrument="test", visit=1, detector=0, band="r"),
        image=rng.normal(0, 1, SHAPE),
        variance=np.ones(SHAPE),
        mask=np.zeros(SHAPE),
        psf=PROFILE.psf(SHAPE),
        wcs=Scene(shape=SHAPE).wcs,
        flux_scale=FluxScale.TEMPLATE,
        kernel_sum=1.0,
        convolved=Convolved.NONE,
        noise=Noise.WHITE,
    )


def added(difference, light):
    return replace(difference, image=difference.image + light)


def find(difference, **options):
    return ScorePeaksFinder(**options).find(difference)


def track(length, flux_per_pixel=60.0):
    light = np.zeros(SHAPE)
    along = np.arange(4 * length) / 4
    y, x = (100 + 0.5 * along).astype(int), (80 + 0.866 * along).astype(int)
    light[y, x] = flux_per_pixel
    return light


@pytest.mark.parametrize("length", [1, 4, 30])
@pytest.mark.parametrize("sign", [1, -1])
def test_cosmic_rays_are_no_sources(length, sign):
    result, found = find(added(blank(), sign * track(length)), **BY_WIDTH)
    assert len(found) == 0
    assert result.metrics["n_peaks_sharp"] > 0
    assert result.metrics["n_cosmic_rays"] == 1


def test_cosmic_rays_are_sources_where_any_width_is_accepted():
    assert len(find(added(blank(), track(30)), min_width=0, **BY_WIDTH)[1]) > 0


def test_point_sources_are_kept_however_bright():
    places = [(x, y) for y in range(20, 240, 20) for x in range(20, 240, 20)]
    for snr in (7.0, 30.0, 1000.0):
        sources = tuple(PointSource(x, y, SIGMA * snr) for x, y in places)
        light = Scene(sources=sources, shape=SHAPE).render(PROFILE)
        # The rows of a grid of bright stars have light all along.
        result, found = find(added(blank(), light), reject_trails=False)
        # At 7 sigma, 2 % of 121 are below the threshold: 3 +- 2.
        assert len(found) >= 0.93 * len(places)
        assert result.metrics["n_peaks_sharp"] <= 2


def test_extended_sources_are_kept():
    light = Scene(sources=(PointSource(100, 100, 5000.0),), shape=SHAPE).render(
        GaussianProfile(fwhm=9.0)
    )
    assert len(find(added(blank(), light))[1]) >= 1
