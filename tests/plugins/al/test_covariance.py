from dataclasses import replace

import numpy as np
import pytest

from streamdiff.testing import Scene
from streamdiff_al.covariance import combine_covariance


def test_equal_covariance_factors_stay_a_number():
    exposure = replace(Scene().observe(), covariance_factor=1.3)
    assert combine_covariance(exposure, exposure, 0.7) == pytest.approx(1.3)


def test_covariance_factor_is_known_without_data():
    science = Scene().observe()
    variance = np.full(science.shape, np.inf, np.float32)
    variance[0] = np.nan
    template = replace(science, variance=variance, covariance_factor=2.0)
    assert combine_covariance(science, template, 1.0) == pytest.approx(1.5)


def test_covariance_factors_count_by_what_each_image_adds_to_the_variance():
    rng = np.random.default_rng(1)
    science = Scene().observe()
    variances = rng.uniform(1, 5, (2, *science.shape)).astype(np.float32)
    factor = rng.uniform(0.9, 1.3, science.shape).astype(np.float32)
    template = replace(science, variance=variances[1], covariance_factor=factor)
    science = replace(science, variance=variances[0], covariance_factor=1.2)
    added = variances * [[[1]], [[0.7**2]]]
    expected = (1.2 * added[0] + factor * added[1]) / added.sum(axis=0)
    combined = combine_covariance(science, template, 0.7)
    assert combined == pytest.approx(expected, rel=1e-6)
