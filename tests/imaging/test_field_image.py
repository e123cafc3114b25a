import numpy as np
import pytest

from streamdiff.imaging.field_image import field_image
from streamdiff.model.field import field_terms


@pytest.mark.parametrize("order", [0, 1, 2, 4])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (31, 47)])
def test_field_is_the_sum_of_its_terms(order, shape):
    n_terms = (order + 1) * (order + 2) // 2
    coefficients = np.random.default_rng(order).normal(size=n_terms)
    y, x = np.indices(shape)
    expected = np.tensordot(coefficients, field_terms(x, y, order, shape), 1)
    assert field_image(coefficients, shape) == pytest.approx(expected, abs=1e-5)
