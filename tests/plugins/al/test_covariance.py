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
