import numpy as np
import pytest
from scipy import ndimage

from streamdiff_detection.excess_noise import ExcessNoise, measure_excess
from streamdiff_detection.starlight import Starlight

SHAPE = (512, 512)
# Side of the squares that one star fills, significance of the stars.
SIDE, BRIGHT = 32, 1000.0


def noise(seed=1):
    """Return a map of unit variance, correlated as that of a matched filter is."""
    white = np.random.default_rng(seed).normal(size=SHAPE)
    smooth = ndimage.gaussian_filter(white, 2.0, mode="wrap")
    return (smooth / smooth.std()).astype(np.float32)


def star_map(bright=BRIGHT):
    """Return squares of light: the score of each star is one pixel."""
    stars = np.zeros(SHAPE, np.float32)
    stars[SIDE // 2 :: SIDE, SIDE // 2 :: SIDE] = bright
    return Starlight.of(stars, 5.0)


def no_stars():
    return Starlight.of(np.zeros(SHAPE, np.float32), 5.0)


def profiles(bright, *, dx=0.0):
    """Return the score of stars as a matched filter makes it: smooth."""
    # As wide as the correlation of the noise.
    sigma, (y, x) = np.sqrt(2) * 2.0, np.indices(SHAPE)
    offset_x = (x + SIDE / 2 - dx) % SIDE - SIDE / 2
    offset_y = (y + SIDE / 2) % SIDE - SIDE / 2
    shape = np.exp(-(offset_x**2 + offset_y**2) / (2 * sigma**2))
    return (bright * shape).astype(np.float32)


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
    excess = measure_excess(score, no_stars(), everywhere())
    assert excess.spread == pytest.approx(1.5, rel=0.05)


def test_less_noise_than_predicted_is_believed_only_of_untrusted_variance():
    score, stars = 0.5 * noise(), star_map()
    assert measure_excess(score, stars, everywhere()).spread == 1.0
    untrusted = measure_excess(score, stars, everywhere(), trusted=False)
    assert untrusted.spread == pytest.approx(0.5, rel=0.05)


def test_what_is_left_of_stars_is_measured_as_a_fraction_of_them():
    stars = star_map()
    score = noise() + 0.02 * stars.around() * noise(seed=2)
    excess = measure_excess(score, stars, everywhere())
    # 256 stars: 6 %, and more of a quantile.
    assert excess.fraction == pytest.approx(0.02, rel=0.2)


def test_calibrated_significance_has_unit_variance_on_stars_and_sky():
    stars = star_map()
    score = 1.5 * noise() + 0.02 * stars.around() * noise(seed=2)
    excess = measure_excess(score, stars, everywhere())
    near_stars = stars.around() > 0
    calibrated = excess.calibrated(score, stars)
    assert calibrated[~near_stars].std() == pytest.approx(1, abs=0.05)
    assert calibrated[near_stars].std() == pytest.approx(1, abs=0.2)


def test_few_stars_tell_nothing_about_the_match():
    stars = np.zeros(SHAPE, np.float32)
    stars[100:110, 100:110] = BRIGHT
    score = noise() + 0.1 * stars
    light = Starlight.of(stars, 5.0)
    assert measure_excess(score, light, everywhere()).fraction == 0.0


@pytest.mark.parametrize("n", [0, 999])
def test_few_pixels_tell_nothing(n):
    usable = np.zeros(SHAPE, bool)
    usable.flat[:n] = True
    assert measure_excess(5 * noise(), star_map(), usable) == ExcessNoise()


def shifted_stars(scatter):
    """Return what is left of stars in columns that are off alike, and the stars."""
    bright = 100.0
    template = profiles(bright)
    rng = np.random.default_rng(4)
    score = noise()
    for column, dx in enumerate(rng.normal(0, scatter, SHAPE[1] // SIDE)):
        strip = np.roll(np.arange(SHAPE[1]), SIDE // 2) // SIDE == column
        residual = profiles(bright, dx=dx) - template
        score = np.where(strip, score + residual, score)
    return score, Starlight.of(template, 5.0)


def test_scatter_of_the_positions_of_stars_is_measured():
    score, stars = shifted_stars(0.3)
    shift = measure_excess(score, stars, everywhere()).shift
    # Along x by 0.3, along y by none: between both. 16 values know it to 18 %.
    assert 0.15 <= shift <= 0.45


def test_stars_in_their_places_have_no_scatter():
    score, stars = shifted_stars(0.0)
    assert measure_excess(score, stars, everywhere()).shift == 0.0


def test_score_that_accounts_for_positions_is_not_charged_again():
    score, stars = shifted_stars(0.3)
    assert measure_excess(score, stars, everywhere(), settled=True).shift == 0.0


def test_one_star_of_five_that_moved_is_hardly_scatter():
    template = np.zeros(SHAPE, np.float32)
    moved = np.zeros(SHAPE, np.float32)
    template[:SIDE, : 5 * SIDE] = profiles(100.0)[:SIDE, : 5 * SIDE]
    moved[:SIDE, :SIDE] = profiles(100.0, dx=1)[:SIDE, :SIDE]
    residual = np.where(moved > 0, moved - template, 0)
    score = noise() + np.roll(residual, (SIDE // 2, SIDE // 2), (0, 1))
    stars = Starlight.of(np.roll(template, (SIDE // 2, SIDE // 2), (0, 1)), 5.0)
    # Not its 1 px, but the errors of the others: 0.03 px.
    assert measure_excess(score, stars, everywhere()).shift <= 0.05


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (7, 3), (40, 30)])
def test_a_map_is_divided_by_the_noise_at_each_pixel(shape):
    rng = np.random.default_rng(3)
    light = Starlight.of(rng.uniform(0, 100, shape).astype(np.float32), 2.0)
    excess = ExcessNoise(spread=1.2, shift=0.1, fraction=0.02)
    here = tuple(i.ravel() for i in np.indices(shape))
    noise = excess.noise_at(light, here).reshape(shape)
    slopes = [
        np.gradient(light.score, axis=axis) if n > 1 else 0 * light.score
        for axis, n in enumerate(shape)
    ]
    variance = 1.2**2 + (0.02 * light.around()) ** 2
    variance += 0.1**2 * np.square(slopes).sum(axis=0)
    assert noise == pytest.approx(np.sqrt(variance), rel=1e-5)
    score = rng.normal(size=shape).astype(np.float32)
    assert excess.calibrated(score, light) == pytest.approx(score / noise, rel=1e-5)


@pytest.mark.parametrize(
    ("shape", "width"), [((1, 5), 1.0), ((7, 3), 4.0), ((60, 45), 2.5), ((600, 9), 3.0)]
)
def test_the_brightest_star_near_a_pixel_is_that_of_a_square(shape, width):
    score = np.random.default_rng(6).normal(0, 100, shape).astype(np.float32)
    stars, side = Starlight.of(score, width), 2 * int(np.ceil(width)) + 1
    expected = ndimage.maximum_filter(score, side, mode="constant", cval=0)
    expected = np.maximum(expected, 0)
    for step in (1, 2, 4):
        np.testing.assert_array_equal(stars.around(step), expected[::step, ::step])
    here = np.nonzero(score > 50)
    np.testing.assert_array_equal(stars.around_at(here), expected[here])
    np.testing.assert_array_equal(stars.bright(150), np.nonzero(expected >= 150))
