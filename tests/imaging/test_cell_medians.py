"""Medians of the cells of an image."""

import numpy as np
import pytest

from streamdiff.imaging.cell_medians import cell_medians


def test_cells_have_the_medians_of_their_pixels():
    plane = np.random.default_rng(1).normal(size=(12, 15))
    medians = cell_medians(plane, (3, 5), least=0.0)
    cells = plane.reshape(3, 4, 5, 3).swapaxes(1, 2).reshape(3, 5, 12)
    assert medians == pytest.approx(np.median(cells, axis=2))


def test_pixels_that_do_not_count_are_left_out():
    plane = np.arange(9.0).reshape(3, 3)
    plane[0] = np.nan
    assert cell_medians(plane, (1, 1), least=0.5).item() == 5.5
    assert cell_medians(plane, (1, 1), least=0.7) == pytest.approx(np.nan, nan_ok=True)


def test_cells_at_the_far_border_may_be_cut():
    plane = np.arange(5.0).reshape(1, 5)
    assert cell_medians(plane, (1, 2), least=0.0).tolist() == [[1.0, 3.5]]
