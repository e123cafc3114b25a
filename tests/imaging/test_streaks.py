import numpy as np
import pytest

from streamdiff.imaging.outline import count_areas
from streamdiff.imaging.streaks import find_streaks

SHAPE = (400, 500)
ROWS, COLUMNS = np.indices(SHAPE)


def noise(fraction=0.06, seed=0):
    return np.random.default_rng(seed).random(SHAPE) < fraction


def line(angle, offset=0.0, half_width=3.0):
    """Return the pixels of a line that passes the middle of the image."""
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    distance = (ROWS - 200) * cos - (COLUMNS - 250) * sin - offset
    return np.abs(distance) <= half_width


def found(detected):
    return count_areas(find_streaks(detected), SHAPE) > 0


@pytest.mark.parametrize("angle", [0, 1, 31, 45, 89.5, 90, 120, 179])
def test_the_whole_of_a_line_is_found(angle):
    trail = line(angle)
    marked = found(trail | noise())
    assert marked[trail].mean() > 0.99
    assert marked.sum() < 2 * trail.sum()


def test_a_line_of_gaps_is_found_in_the_gaps():
    trail = line(20)
    dashes = trail & (COLUMNS // 40 % 3 > 0)
    assert found(dashes | noise())[trail].mean() > 0.99


def test_two_lines_are_two_stripes():
    both = line(20) | line(100, offset=30)
    streaks = find_streaks(both | noise())
    assert len(streaks) == 2
    assert (count_areas(streaks, SHAPE) > 0)[both].mean() > 0.98


def test_noise_is_no_line():
    assert find_streaks(noise(0.1)) == []


def test_stars_and_ghosts_are_no_lines():
    rng = np.random.default_rng(4)
    detected = noise()
    for x, y in rng.uniform(0, 400, (40, 2)):
        detected |= np.hypot(COLUMNS - x, ROWS - y) < 6
    detected |= np.hypot(COLUMNS - 120, ROWS - 300) < 60
    assert find_streaks(detected) == []


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (40, 40)])
def test_small_images_are_searched(shape):
    assert find_streaks(np.zeros(shape, bool)) == []
    find_streaks(np.ones(shape, bool))


def test_an_image_that_is_detected_all_over_has_no_line():
    assert find_streaks(np.ones(SHAPE, bool)) == []


@pytest.mark.parametrize("side", [3, 4])
def test_squares_tell_what_their_pixels_do(side):
    squares = (line(31) | noise())[::side, ::side]
    pixels = np.repeat(np.repeat(squares, side, axis=0), side, axis=1)
    streaks = find_streaks(squares, side=side)
    assert len(streaks) == 1
    assert streaks == find_streaks(pixels)
