import numpy as np
import pytest
from scipy import ndimage

from streamdiff_detection.trails import find_trails

SHAPE, WIDTH = (512, 512), 5.0


def noise(seed=1):
    """Return a map of unit variance, correlated as that of a matched filter is."""
    white = np.random.default_rng(seed).normal(size=SHAPE)
    smooth = ndimage.gaussian_filter(white, WIDTH / 2.355 * 1.4, mode="wrap")
    return (smooth / smooth.std()).astype(np.float32)


def with_trail(level, *, row=200, columns=slice(100, 400)):
    trail = np.zeros(SHAPE)
    trail[row, columns] = 1
    trail = ndimage.gaussian_filter1d(trail, WIDTH / 2.355 * 1.4, axis=0)
    return noise() + (level * trail / trail.max()).astype(np.float32)


def test_noise_has_no_trails():
    for seed in range(20):
        assert not find_trails(noise(seed), WIDTH).any()


@pytest.mark.parametrize("level", [4.0, -4.0])
def test_trail_that_is_nowhere_significant_is_found(level):
    found = find_trails(with_trail(level), WIDTH)
    assert found[200, 116:384].mean() > 0.9
    # Nothing far from it.
    assert not found[:190].any()
    assert not found[211:].any()
    assert not found[:, 440:].any()


def test_trail_along_a_column_is_found():
    found = find_trails(np.ascontiguousarray(with_trail(4.0).T), WIDTH)
    assert found[116:384, 200].mean() > 0.9


def test_trail_is_followed_where_parts_of_it_are_masked():
    score = with_trail(6.0)
    score[:, 240:260] = 0
    assert find_trails(score, WIDTH)[200, 120:380].mean() > 0.9


@pytest.mark.parametrize("height", [8.0, 1000.0])
def test_stars_are_no_trails(height):
    y, x = np.indices(SHAPE)
    score = noise()
    for column in (60, 150, 310):
        radius = np.hypot(x - column, y - 250)
        score += (height * np.exp(-(radius**2) / 20)).astype(np.float32)
    assert not find_trails(score, WIDTH).any()


def test_wide_slopes_are_no_trails():
    y, x = np.indices(SHAPE)
    wide = 20 * np.exp(-((x - 250) ** 2 + (y - 250) ** 2) / (2 * 60.0**2))
    assert not find_trails(noise() + wide.astype(np.float32), WIDTH).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (200, 1), (3, 90), (79, 81)])
def test_tiny_maps_are_searched(shape):
    assert not find_trails(np.zeros(shape, np.float32), WIDTH).any()
