import numpy as np
import pytest

from streamdiff.imaging.block_kernels import MixedKernels, SampledKernels
from streamdiff.imaging.blocks import Blocks
from streamdiff.imaging.kernel_field import KernelField, Nodes

SHAPE, KERNEL_SHAPE = (300, 260), (9, 7)


def field(kernel_shape):
    """Return a kernel that varies as a polynomial of the second order."""
    nodes = Nodes.spread(SHAPE, (3, 3))
    rng = np.random.default_rng(1)
    kernels = np.tensordot(
        np.stack([nodes.positions[0] ** 2, nodes.positions[1], np.full(9, 1e4)]).T,
        rng.standard_normal((3, *kernel_shape)),
        1,
    )
    return KernelField.of(kernels, nodes, tolerance=1e-9)


@pytest.mark.parametrize("kernel_shape", [KERNEL_SHAPE, (3, 5)])
def test_sums_of_kernels_have_the_spectra_of_those_in_the_middles_of_blocks(
    kernel_shape,
):
    blocks = Blocks.of(SHAPE, KERNEL_SHAPE, 40)
    kernels = field(kernel_shape)
    margins = [
        (0, 0) if n == k else ((n - k) // 2, (n - k) // 2)
        for n, k in zip(KERNEL_SHAPE, kernel_shape, strict=True)
    ]
    sampled = SampledKernels(
        blocks=blocks, kernel_at=lambda x, y: np.pad(kernels.at(x, y), margins)
    )
    mixed = MixedKernels.of(kernels, blocks)
    for row in range(blocks.count[0]):
        expected = sampled.spectra(row, slice(1, 5))
        scale = float(np.abs(expected).max())
        found = mixed.spectra(row, slice(1, 5))
        assert found == pytest.approx(expected, abs=1e-5 * scale)
