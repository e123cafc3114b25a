import numpy as np
import pytest

from streamdiff.model import MaskPlane
from streamdiff.testing import Camera, GaussianProfile, PointSource, Scene

LEVEL = 5000.0
STAR = Scene(sources=(PointSource(50, 60, 5e5),), shape=(121, 101))
SATURATED = STAR.observe(camera=Camera(saturation=LEVEL), seed=1)


def test_full_pixels_are_clipped_and_flagged():
    full = MaskPlane.SAT.in_mask(SATURATED.mask)
    assert full.any()
    assert (SATURATED.image[full] == LEVEL).all()
    assert SATURATED.image[~full].max() <= LEVEL


def test_charge_bleeds_along_columns_only():
    full = MaskPlane.SAT.in_mask(SATURATED.mask)
    light = STAR.render(GaussianProfile(fwhm=3.5))
    over = light > LEVEL
    rows, columns = (np.ptp(np.nonzero(full)[axis]) for axis in (0, 1))
    assert columns == np.ptp(np.nonzero(over)[1])
    assert rows > 2 * np.ptp(np.nonzero(over)[0])


def test_a_bleed_is_as_long_as_its_charge():
    light = STAR.render(GaussianProfile(fwhm=3.5))[:, 50]
    spilt = (light - LEVEL).clip(0).sum() / LEVEL
    length = MaskPlane.SAT.in_mask(SATURATED.mask)[:, 50].sum()
    # Each end takes whole pixels, and the noise may fill one more.
    assert length == pytest.approx((light > LEVEL).sum() + spilt, abs=3)


def test_the_border_is_flagged():
    edge = MaskPlane.EDGE.in_mask(STAR.observe(camera=Camera(edge=4)).mask)
    assert not edge[4:-4, 4:-4].any()
    assert edge.sum() == 121 * 101 - 113 * 93


def test_without_gain_there_is_no_photon_noise():
    assert (STAR.observe(noise=3).variance == 9).all()


def test_a_lost_star_takes_no_noise_away():
    lost = Scene(sources=(PointSource(50, 50, -1e5),), shape=(101, 101))
    assert (lost.observe(noise=3, camera=Camera(gain=1.0)).variance >= 9).all()
