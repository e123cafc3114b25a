import numpy as np
import pytest
from scipy import signal

from streamdiff.imaging.filter_in_blocks import filter_in_blocks
from streamdiff.imaging.kernel_field import KernelField, Nodes

MIDDLE = Nodes(x=np.zeros(1), y=np.zeros(1))


@pytest.mark.parametrize(("shape", "side"), [((300, 530), 21), ((40, 31), 9)])
def test_images_are_convolved_without_what_does_not_count(shape, side):
    rng = np.random.default_rng(1)
    kernel = rng.random((side, side - 2))
    good = rng.random(shape) < 0.9
    planes = rng.standard_normal((2, *shape)).astype(np.float32)
    planes[:, ~good] = 1e9
    planes[1, 5, 7] = np.nan
    field = KernelField.of(kernel[np.newaxis], MIDDLE)
    for plane, found in zip(planes, filter_in_blocks(planes, good, field), strict=True):
        known = np.where(good & np.isfinite(plane), plane, 0)
        expected = signal.fftconvolve(known, kernel, mode="same")
        assert found == pytest.approx(expected, abs=1e-4)
