import numpy as np
import pytest

from streamdiff.model import MaskPlane
from streamdiff.testing import (
    BadColumns,
    Camera,
    CosmicRays,
    Ghost,
    NoData,
    Scene,
    SkyGradient,
    Streak,
)

BLANK = Scene(shape=(100, 140))


def with_and_without(artifact, **options):
    """Observe a blank sky twice, with the same noise."""
    spoilt = BLANK.observe(artifacts=[artifact], seed=2, **options)
    return spoilt, spoilt.image - BLANK.observe(seed=2, **options).image


def test_cosmic_rays_are_sharp_and_not_flagged():
    spoilt, rays = with_and_without(CosmicRays(n=10))
    assert (rays > 1).sum() > 20
    # A star of 3 px FWHM or more never has less than half its peak on all sides.
    y, x = np.unravel_index(rays[1:-1, 1:-1].argmax(), (98, 138))
    around = rays[y : y + 3, x : x + 3]
    assert (around < 0.1 * rays[y + 1, x + 1]).sum() >= 4
    assert not spoilt.mask.any()


def test_cosmic_rays_are_flagged_on_request():
    spoilt, rays = with_and_without(CosmicRays(n=10, flagged=True))
    np.testing.assert_array_equal(MaskPlane.CR.in_mask(spoilt.mask), rays > 1)


def test_no_cosmic_rays_change_nothing():
    assert not with_and_without(CosmicRays(n=0))[1].any()


def test_a_streak_crosses_the_image_along_its_angle():
    _, streak = with_and_without(Streak(x=70, y=50, angle=30, flux=1000, fwhm=4))
    for x in (20, 70, 120):
        assert streak[:, x].argmax() == pytest.approx(
            50 + (x - 70) * np.tan(np.radians(30)), abs=0.6
        )
        # A column cuts it under 60 degrees.
        across = streak[:, x].sum() * np.cos(np.radians(30))
        assert across == pytest.approx(1000, rel=1e-3)


def test_a_ghost_is_an_even_disc():
    _, ghost = with_and_without(Ghost(x=70, y=50, radius=20, level=30))
    assert ghost[50, 52:88] == pytest.approx(30, abs=1e-4)
    assert ghost.sum() == pytest.approx(30 * np.pi * 20**2, rel=0.01)


def test_a_sky_gradient_is_a_plane():
    _, sky = with_and_without(SkyGradient(level=5, slope_x=3, slope_y=-2))
    corners = [sky[0, 0], sky[0, -1], sky[-1, 0], sky[-1, -1]]
    assert corners == pytest.approx(
        [5 - 3 + 2, 5 + 3 + 2, 5 - 3 - 2, 5 + 3 - 2], abs=1e-4
    )


def test_bad_columns_are_flagged():
    spoilt, _ = with_and_without(BadColumns(columns=(10, 90)))
    bad = MaskPlane.BAD.in_mask(spoilt.mask)
    assert bad[:, [10, 90]].all()
    assert bad.sum() == 200


@pytest.mark.parametrize("camera", [Camera(), Camera(gain=1.0, saturation=1e4)])
def test_missing_pixels_are_not_finite_and_flagged(camera):
    spoilt, _ = with_and_without(NoData(x=(0, 20), y=(50, 100)), camera=camera)
    missing = MaskPlane.NO_DATA.in_mask(spoilt.mask)
    assert missing.sum() == 20 * 50
    np.testing.assert_array_equal(missing, np.isnan(spoilt.image))
    assert np.isfinite(spoilt.variance).all()
