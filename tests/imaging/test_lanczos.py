import numpy as np
import pytest

from streamdiff.imaging.lanczos import (
    lanczos,
    normalised_weights,
    weight_polynomials,
)


@pytest.mark.parametrize("order", [2, 3, 4, 5])
def test_polynomials_are_the_weights_within_the_precision_of_float32(order):
    phase = np.linspace(0, 1, 1001)
    powers = (phase - 0.5)[:, np.newaxis] ** np.arange(10)
    weights = powers @ weight_polynomials(order).astype(float)
    # float32 coefficients and what degree 9 leaves, as `DEGREE` says
    np.testing.assert_allclose(
        weights, normalised_weights(phase, order), rtol=0, atol=4e-7
    )


def test_weights_pick_the_pixel_at_a_position():
    weights = normalised_weights(np.array([0.0, 1.0]), 3)
    np.testing.assert_allclose(weights, np.eye(6)[[2, 3]], atol=1e-12)


def test_the_kernel_ends():
    assert lanczos(np.array([2.0, 5.0]), 2).tolist() == [0, 0]
