"""What stars tell of the flux scale and the registration of two images."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.imaging.flux_ratio import reference_stars
from streamdiff.testing import Displacement, PointSource, Scene
from streamdiff_zogy import ZogySubtractor
from streamdiff_zogy.scatter import intrinsic_scatter, robust_mean
from streamdiff_zogy.stars import compare_stars

SHAPE = (512, 512)
FIELD = Scene.star_field(shape=SHAPE, seed=3, flux_range=(500, 1e5))
CROWDED = Scene.star_field(shape=SHAPE, seed=3, density_per_mpx=20_000)


def compare(sky, **science):
    template = sky.observe(fwhm=2.9, noise=5.0, seed=1)
    exposure = sky.observe(fwhm=3.6, noise=10.0, seed=2, **science)
    return compare_stars(exposure, template, reference_stars(template))


@pytest.mark.parametrize("sky", [FIELD, CROWDED], ids=["field", "crowded"])
@pytest.mark.parametrize("jitter", [0.0, 0.3])
def test_flux_ratio_is_that_of_the_stars(sky, jitter):
    shaken = Displacement(jitter=jitter, seed=1)
    pairs = compare(sky, flux_scale=0.8, displacement=shaken)
    mean, error, _ = robust_mean(pairs.flux_ratio, pairs.flux_ratio_error)
    assert mean == pytest.approx(0.8, rel=0.002)
    assert error < 0.002


def test_errors_are_those_of_the_deviations():
    pairs = compare(FIELD)
    n = len(pairs)
    assert n > 60
    for value, error in (
        (pairs.flux_ratio - 1, pairs.flux_ratio_error),
        (pairs.dx, pairs.dx_error),
        (pairs.dy, pairs.dy_error),
    ):
        pull = value / error
        assert abs(pull.mean()) < 4 / np.sqrt(n)
        assert pull.std() == pytest.approx(1, abs=4 / np.sqrt(2 * n))


def test_shift_is_that_of_the_science_image():
    wcs = FIELD.dithered_wcs(dx=0.3, dy=-0.2)
    template = FIELD.observe(fwhm=2.9, noise=5.0, seed=1)
    exposure = FIELD.observe(fwhm=3.6, noise=10.0, seed=2, wcs=wcs)
    pairs = compare_stars(exposure, template, reference_stars(template))
    assert np.median(pairs.dx) == pytest.approx(0.3, abs=0.01)
    assert np.median(pairs.dy) == pytest.approx(-0.2, abs=0.01)


def test_scatter_is_found_for_each_axis():
    # A rotation about the lower border's middle that depends on y alone along x.
    rng = np.random.default_rng(1)
    shifts = rng.normal(0, 0.25, len(FIELD.sources))
    moved = [
        replace(s, x=s.x + dx) for s, dx in zip(FIELD.sources, shifts, strict=True)
    ]
    template = FIELD.observe(fwhm=2.9, noise=5.0, seed=1)
    science = Scene(sources=tuple(moved), shape=SHAPE).observe(fwhm=3.6, seed=2)
    metrics = ZogySubtractor().subtract(science, template).metrics
    assert metrics["astrometric_sigma_x"] == pytest.approx(0.25, rel=0.25)
    assert metrics["astrometric_sigma_y"] < 0.02


@pytest.mark.parametrize("axis", ["x", "y"])
def test_shift_along_an_axis_needs_the_scatter_of_that_axis(axis):
    # A displacement along one axis that depends on the position along the other.
    star, other = [], []
    for y in range(40, 480, 40):
        for x in range(40, 480, 40):
            across = (y if axis == "x" else x) / SHAPE[0] - 0.5
            shift = 0.5 * across
            dx, dy = (shift, 0) if axis == "x" else (0, shift)
            star.append(PointSource(x, y, 3e4))
            other.append(PointSource(x + dx, y + dy, 3e4))
    template, science = (
        Scene(sources=tuple(s), shape=SHAPE).observe(fwhm=f, noise=n, seed=seed)
        for s, f, n, seed in ((star, 2.9, 5.0, 1), (other, 3.6, 10.0, 2))
    )
    right = {"sigma_x": 0.0, "sigma_y": 0.0, f"sigma_{axis}": 0.2}
    wrong = {"sigma_x": 0.2, "sigma_y": 0.2, f"sigma_{axis}": 0.0}
    scores = [
        ZogySubtractor(**sigma).subtract(science, template).score
        for sigma in (right, wrong)
    ]
    assert np.abs(scores[0]).max() < 6
    assert np.abs(scores[1]).max() > 15
    measured = ZogySubtractor().subtract(science, template).metrics
    assert measured[f"astrometric_sigma_{axis}"] > 0.1
    assert measured[f"astrometric_sigma_{'y' if axis == 'x' else 'x'}"] < 0.02


def test_no_stars_are_no_pairs():
    assert len(compare(Scene(shape=(80, 80)))) == 0


def test_stars_that_are_elsewhere_do_not_count():
    template = FIELD.observe(fwhm=2.9, noise=5.0, seed=1)
    other = Scene.star_field(shape=SHAPE, seed=9, flux_range=(500, 1e5))
    science = other.observe(fwhm=3.6, noise=10.0, seed=2)
    metrics = ZogySubtractor().subtract(science, template).metrics
    assert metrics["f_n"] == 1
    assert metrics["astrometric_sigma_measured"] == 0


def test_scatter_beyond_errors_is_found_in_spite_of_outliers():
    rng = np.random.default_rng(1)
    error = rng.uniform(0.1, 0.5, 4000)
    values = rng.normal(0, np.hypot(error, 0.3))
    values[:40] = 100
    # The median of 4000 sizes is known to about 2 %.
    assert intrinsic_scatter(values, error) == pytest.approx(0.3, rel=0.1)
    assert intrinsic_scatter(0.3 * error, error) == 0
    assert intrinsic_scatter(np.zeros(0), np.zeros(0)) == 0


def test_mean_is_not_that_of_outliers():
    rng = np.random.default_rng(2)
    error = rng.uniform(0.01, 0.05, 400)
    values = 1 + error * rng.normal(size=400)
    values[:60] = 1.5
    mean, mean_error, _ = robust_mean(values, error)
    assert abs(mean - 1) < 5 * mean_error
