import numpy as np
import pytest

from streamdiff.imaging.spectra import times_sums


@pytest.mark.parametrize(("m", "k", "shape"), [(1, 1, (3, 2)), (3, 12, (40, 33))])
def test_each_kernel_of_a_block_is_a_sum_of_parts(m, k, shape):
    rng = np.random.default_rng(1)
    spectra, parts = (
        (rng.normal(size=(n, *shape)) + 1j * rng.normal(size=(n, *shape))).astype(
            np.complex64
        )
        for n in (2, k)
    )
    weights = rng.normal(size=(2, m, k)).astype(np.float32)
    expected = spectra[:, np.newaxis] * np.tensordot(weights, parts, 1)
    # sums of k products of float32 numbers of about 1
    np.testing.assert_allclose(
        times_sums(spectra, weights, parts), expected, rtol=0, atol=2e-5
    )
