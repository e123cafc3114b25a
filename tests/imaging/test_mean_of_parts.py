import numpy as np
import pytest

from streamdiff.imaging.mean_of_parts import MeanOfParts
from streamdiff.imaging.resample import Planes
from streamdiff.model import MaskPlane


def planes(value, variance, shape=(6, 8), mask=0, factor=1.0):
    return Planes(
        image=np.full(shape, value, np.float32),
        variance=np.full(shape, variance, np.float32),
        mask=np.full(shape, mask, np.int32),
        covariance_factor=factor,
    )


def test_where_parts_overlap_they_are_averaged_by_their_noise():
    mean = MeanOfParts((10, 8))
    mean.add(planes(1, 4, mask=1, factor=2.0), slice(0, 6), slice(0, 8))
    factor = np.full((6, 8), 3, np.float32)
    mean.add(planes(4, 16, mask=2, factor=factor), slice(4, 10), slice(0, 8))
    whole = mean.take()
    # Weights 1/2 and 1/4.
    np.testing.assert_allclose(whole.image[[0, 5, 9], 3], [1, 2, 4], rtol=1e-6)
    np.testing.assert_allclose(whole.variance[[0, 5, 9], 3], [4, 8, 16], rtol=1e-6)
    power = (whole.covariance_factor * whole.variance)[[0, 5, 9], 3]
    np.testing.assert_allclose(power, [8, (4 + 12) / 0.75, 48], rtol=1e-6)
    assert whole.mask[[0, 5, 9], 3].tolist() == [1, 3, 2]


@pytest.mark.parametrize("lost", ["mask", "image", "variance"])
def test_pixels_without_data_have_no_weight(lost):
    part = planes(1, 4)
    if lost == "mask":
        part.mask[2, 3] = MaskPlane.NO_DATA
    else:
        getattr(part, lost)[2, 3] = np.nan
    mean = MeanOfParts((6, 8))
    added = mean.add(part, slice(0, 6), slice(0, 8))
    assert added.n_usable == (47 if lost == "mask" else 48)
    assert np.argwhere(~added.known).tolist() == [[2, 3]]
    assert added.mean_weight == pytest.approx(0.5)
    whole = mean.take()
    assert whole.mask[2, 3] == MaskPlane.NO_DATA
    assert whole.image[2, 3] == 0
    assert np.isinf(whole.variance[2, 3])
    assert whole.covariance_factor[2, 3] == 1
    assert whole.image[0, 0] == 1
