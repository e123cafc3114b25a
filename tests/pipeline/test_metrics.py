"""What a visit's metrics tell of its difference (the scene is LSST's)."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.errors import SubtractionError
from streamdiff.model import StarList
from streamdiff.testing import PointSource, Scene

rng = np.random.default_rng(5)
SCENE = Scene(
    shape=(256, 256),
    sources=tuple(
        PointSource(x, y, flux)
        for (x, y), flux in zip(
            rng.uniform(31, 225, (20, 2)), rng.uniform(500, 1000, 20), strict=True
        )
    ),
)
FWHM_PER_SIGMA = 2.3548
SCIENCE = SCENE.observe(fwhm=2.8 * FWHM_PER_SIGMA, noise=1, seed=6, visit=6)


def template(sigma):
    return SCENE.observe(fwhm=sigma * FWHM_PER_SIGMA, noise=0.25, seed=7, visit=7)


@pytest.fixture(scope="module")
def metrics(compare):
    return compare(SCIENCE, template(2.4)).metrics


def test_stars_leave_little_of_a_good_template(metrics):
    assert metrics["difference_footprint_ratio_mean"] < 0.02


def test_stars_leave_much_of_a_template_that_must_be_deconvolved(compare):
    options = {"subtract": {"al": {"direction": "template"}}}
    with pytest.raises(SubtractionError, match="leaves too much of stars") as error:
        compare(SCIENCE, template(9.5), plugins=options, max_residual_mean=0.12)
    assert error.value.metrics["difference_footprint_ratio_mean"] > 0.12


def test_limits_add_in_quadrature(metrics):
    science, sky, both = (
        10 ** (-0.4 * metrics[f"{name}_limiting_magnitude"])
        for name in ("science", "template", "difference")
    )
    assert both == pytest.approx(np.hypot(science, sky), rel=1e-6)


def test_the_limit_is_that_of_the_noise(metrics):
    # 5 sigma of a Gaussian: 5 * noise * sqrt(4 pi) * width
    expected = 31.4 - 2.5 * np.log10(5 * np.sqrt(4 * np.pi) * 2.8)
    assert metrics["science_limiting_magnitude"] == pytest.approx(expected, abs=0.03)


def test_a_catalogue_is_counted(compare):
    stars = StarList(
        **{
            name: [getattr(source, name) for source in SCENE.sources]
            for name in ("x", "y", "flux")
        },
        snr=np.full(20, 50.0),
    )
    found = compare(replace(SCIENCE, stars=stars), template(2.4)).metrics
    assert found["n_catalogue_stars"] == 20
