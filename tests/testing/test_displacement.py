import numpy as np
import pytest

from streamdiff.testing import Displacement, GaussianProfile, PointSource, Scene

SHAPE = (300, 400)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_smooth_field_has_the_size_asked_for(seed):
    y, x = np.indices(SHAPE)
    dx, dy = Displacement(rms=0.2, seed=seed).smooth(x, y, SHAPE)
    # The size is set on 33 x 33 nodes, which weigh the border a little more.
    for shift in (dx, dy):
        assert np.sqrt(np.mean(shift**2)) == pytest.approx(0.2, rel=0.05)


def test_the_smooth_field_changes_little_within_a_star():
    y, x = np.indices(SHAPE)
    field = Displacement(rms=0.2).smooth(x, y, SHAPE)
    # Waves of one image side: less than 2 pi 5 / 300 of the size in 5 px, times
    # a few modes that add up.
    assert np.abs(field[:, 5:] - field[:, :-5]).max() < 0.05


def test_jitter_is_independent_from_star_to_star():
    shifts = Displacement(jitter=0.1, seed=3).scatter(20_000)
    # 20,000 stars know a standard deviation to 0.5 %.
    assert shifts.std(axis=1) == pytest.approx([0.1, 0.1], rel=0.025)
    assert np.mean(shifts[0] * shifts[1]) == pytest.approx(0, abs=3e-4)


def test_another_star_keeps_the_jitter_of_the_others():
    displacement = Displacement(jitter=0.1)
    np.testing.assert_array_equal(
        displacement.scatter(5), displacement.scatter(9)[:, :5]
    )


def test_stars_are_shifted_beside_where_the_wcs_says():
    displacement = Displacement(rms=0.2, jitter=0.1, seed=6)
    scene = Scene(sources=(PointSource(30, 40, 1.0),), shape=(80, 70))
    light = scene.render(GaussianProfile(fwhm=3.5), displacement=displacement)
    y, x = np.indices(light.shape)
    shift = displacement.smooth(30, 40, (80, 70)) + displacement.scatter(1)[:, 0]
    assert (light * x).sum() == pytest.approx(30 + shift[0], abs=1e-5)
    assert (light * y).sum() == pytest.approx(40 + shift[1], abs=1e-5)
