"""Variance planes are made honest before images are matched."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.app import wiring
from streamdiff.config import from_tree
from streamdiff.errors import ConfigError, VarianceScaleError
from streamdiff.imaging.noise import typical_variance
from streamdiff.pipeline.rescale import VarianceRescaling
from streamdiff.testing import PointSource, Scene

# The scene of LSST's tests of subtraction: 20 stars of S/N 15 to 30.
rng = np.random.default_rng(5)
SCENE = Scene(
    shape=(256, 256),
    sources=tuple(
        PointSource(x, y, flux)
        for (x, y), flux in zip(
            rng.uniform(30, 226, (20, 2)), rng.uniform(2000, 4000, 20), strict=True
        )
    ),
)
FWHM_PER_SIGMA = 2.3548
SCIENCE_NOISE, TEMPLATE_NOISE = 4.0, 2.0
TOO_SMALL = 1.345


def observed(sigma, noise, seed, *, divided_by=1.0):
    exposure = SCENE.observe(
        fwhm=sigma * FWHM_PER_SIGMA, noise=noise, seed=seed, visit=seed
    )
    return replace(exposure, variance=exposure.variance / np.float32(divided_by))


def sky_variance(image):
    return typical_variance(image.variance, np.isfinite(image.variance))


@pytest.mark.parametrize("rescale", ["both", "none"])
@pytest.mark.parametrize("decorrelate", ["al", "none"])
@pytest.mark.parametrize("sigmas", [(2.4, 2.0), (2.0, 2.4)])
def test_the_variance_of_a_difference_is_that_of_both_images(
    compare, sigmas, decorrelate, rescale
):
    science = observed(sigmas[0], SCIENCE_NOISE, 6, divided_by=TOO_SMALL)
    template = observed(sigmas[1], TEMPLATE_NOISE, 7, divided_by=TOO_SMALL)
    result = compare(
        science, template, rescale_variance=rescale, decorrelate=decorrelate
    )
    images = result.products.images
    expected = SCIENCE_NOISE**2 + TEMPLATE_NOISE**2
    if rescale == "both":
        factors = {k: v for k, v in result.metrics.items() if k.endswith("_scale")}
        assert set(factors) == {"science_variance_scale", "template_variance_scale"}
        assert list(factors.values()) == pytest.approx([TOO_SMALL] * 2, abs=0.05)
    else:
        expected /= TOO_SMALL
    if decorrelate == "al":
        assert sky_variance(images.difference) == pytest.approx(expected, rel=0.1)
    else:
        # convolution has averaged the noise of one of them
        assert sky_variance(images.difference) < expected
    assert sky_variance(images.science) + sky_variance(
        images.template
    ) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(
    ("chosen", "factors"),
    [("science", (1.345, 1)), ("template", (1, 1.345)), ("both", (1.345, 1.345))],
)
def test_only_what_is_chosen_is_rescaled(chosen, factors):
    exposure = observed(2.4, SCIENCE_NOISE, 6, divided_by=TOO_SMALL)
    settings = from_tree({"pipeline": {"rescale_variance": chosen}})
    *rescaled, metrics = wiring.variance_rescaling(settings)(exposure, exposure)
    for name, image, factor in zip(
        ("science", "template"), rescaled, factors, strict=True
    ):
        ratio = image.variance / exposure.variance
        assert ratio == pytest.approx(factor, abs=0.05)
        assert metrics.get(f"{name}_variance_scale", 1) == pytest.approx(ratio)


def test_honest_planes_stay_what_they_are():
    rescale = VarianceRescaling(images=("science", "template"))
    *_, metrics = rescale(observed(2.0, 1.0, 6), observed(2.4, 0.1, 7))
    assert list(metrics.values()) == pytest.approx([1, 1], abs=0.05)


def test_the_input_is_not_changed():
    exposure = observed(2.4, SCIENCE_NOISE, 6, divided_by=TOO_SMALL)
    before = exposure.variance.copy()
    VarianceRescaling(images=("science",))(exposure, exposure)
    assert (exposure.variance == before).all()


def test_planes_out_of_proportion_fail_the_visit_and_name_the_stage(compare):
    science = observed(2.4, SCIENCE_NOISE, 6, divided_by=100)
    with pytest.raises(VarianceScaleError, match="max_variance_scale") as failed:
        compare(science, observed(2.4, TEMPLATE_NOISE, 7))
    assert failed.value.stage == "rescale"
    assert failed.value.reason == "variance_scale_exceeded"


def test_without_rescaling_no_plane_is_out_of_proportion(compare):
    science = observed(2.4, SCIENCE_NOISE, 6, divided_by=100)
    # Ten sigma of noise on single pixels are cosmic rays to whoever believes it.
    result = compare(
        science,
        observed(2.4, TEMPLATE_NOISE, 7),
        rescale_variance="none",
        plugins={"find": {"score_peaks": {"max_cosmic_ray_fraction": 1.0}}},
    )
    assert "science_variance_scale" not in result.metrics


@pytest.mark.parametrize(
    ("key", "value"), [("rescale_variance", "all"), ("max_variance_scale", 1)]
)
def test_a_bad_setting_is_named(key, value):
    with pytest.raises(ConfigError, match=f"pipeline.{key}"):
        from_tree({"pipeline": {key: value}})
