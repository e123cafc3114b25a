import numpy as np
import pytest
from scipy import ndimage

from streamdiff_detection.excess_noise import (
    ExcessNoise,
    measure_excess,
    stars_around,
)

SHAPE = (512, 512)
# Side of the squares that one star fills, significance of the stars.
SIDE, BRIGHT = 32, 1000.0


def noise(seed=1):
    """Return a map of unit variance, correlated as that of a matched filter is."""
    white = np.random.default_rng(seed).normal(size=SHAPE)
    smooth = ndimage.gaussian_filter(white, 2.0, mode="wrap")
    return (smooth / smooth.std()).astype(np.float32)


def star_map():
    stars = np.zeros(SHAPE, np.float32)
    stars[SIDE // 2 :: SIDE, SIDE // 2 :: SIDE] = BRIGHT
    return stars_around(stars, 5.0)


def everywhere():
    return np.ones(SHAPE, bool)


def test_noise_that_the_variance_explains_is_not_touched():
    excess = measure_excess(noise(), star_map(), everywhere())
    assert excess == ExcessNoise(spread=1.0, fraction=0.0)


def test_spread_of_the_sky_is_measured():
    excess = measure_excess(1.5 * noise(), star_map(), everywhere())
    # 512^2 pixels, correlated over 4 pi 2^2 = 50: 5,000 values know it to 1.2 %.
    assert excess.spread == pytest.approx(1.5, rel=0.05)


def test_sources_do_not_widen_the_spread():
    score = 1.5 * noise()
    score[::40, ::40] += 30
    excess = measure_excess(score, np.zeros(SHAPE, np.float32), everywhere())
    assert excess.spread == pytest.approx(1.5, rel=0.05)


def test_less_noise_than_predicted_is_believed_only_of_untrusted_variance():
    score, stars = 0.5 * noise(), star_map()
    assert measure_excess(score, stars, everywhere()).spread == 1.0
    untrusted = measure_excess(score, stars, everywhere(), trusted=False)
    assert untrusted.spread == pytest.approx(0.5, rel=0.05)


def test_what_is_left_of_stars_is_measured_as_a_fraction_of_them():
    stars = star_map()
    score = noise() + 0.02 * stars * noise(seed=2)
    excess = measure_excess(score, stars, everywhere())
    # 256 stars: 6 %, and more of a quantile.
    assert excess.fraction == pytest.approx(0.02, rel=0.2)


def test_calibrated_significance_has_unit_variance_on_stars_and_sky():
    stars = star_map()
    score = 1.5 * noise() + 0.02 * stars * noise(seed=2)
    excess = measure_excess(score, stars, everywhere())
    calibrated = excess.calibrated(score, stars)
    assert calibrated[stars == 0].std() == pytest.approx(1, abs=0.05)
    assert calibrated[stars > 0].std() == pytest.approx(1, abs=0.2)


def test_few_stars_tell_nothing_about_the_match():
    stars = np.zeros(SHAPE, np.float32)
    stars[100:110, 100:110] = BRIGHT
    score = noise() + 0.1 * stars
    assert measure_excess(score, stars, everywhere()).fraction == 0.0


@pytest.mark.parametrize("n", [0, 999])
def test_few_pixels_tell_nothing(n):
    usable = np.zeros(SHAPE, bool)
    usable.flat[:n] = True
    assert measure_excess(5 * noise(), star_map(), usable) == ExcessNoise()
