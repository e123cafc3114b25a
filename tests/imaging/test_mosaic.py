import numpy as np
import pytest

from streamdiff.imaging.mosaic import grid_positions, kernel_mosaic, mosaic
from streamdiff.model import MatchingKernel


def test_stamps_are_laid_out_in_rows_with_gaps():
    stamps = np.arange(1, 6).reshape(5, 1, 1) * np.ones((2, 3))
    laid = mosaic(stamps, 2)
    assert laid.shape == (3 * 3 - 1, 2 * 4 - 1)
    assert [laid[0, 0], laid[0, 4], laid[3, 0], laid[7, 2]] == [1, 2, 3, 5]
    assert np.isnan(laid[2]).all()
    assert np.isnan(laid[:, 3]).all()
    # nothing is where the sixth would be
    assert np.isnan(laid[6:, 4:]).all()


def test_positions_are_the_middles_of_cells():
    x, y = grid_positions((100, 40), 2)
    assert (x.tolist(), y.tolist()) == ([9.5, 29.5], [24.5, 74.5])


def test_a_kernel_is_shown_as_it_is_at_each_place():
    kernel = MatchingKernel(
        basis=np.ones((1, 3, 3)), coefficients=[[1.0, 0.5, 0.0]], image_shape=(90, 90)
    )
    laid = kernel_mosaic(kernel, 3)
    for column, x in ((1, 14.5), (5, 44.5), (9, 74.5)):
        assert laid[5, column] == pytest.approx(kernel.at(x, 44.5)[1, 1])
