import numpy as np
import pytest

from streamdiff.imaging.difference_mask import (
    combine_masks,
    dilate_mask,
    mask_of_template,
)
from streamdiff.model import MaskPlane


def mask_with(plane, shape=(20, 30)):
    mask = np.zeros(shape, np.int32)
    mask[10, 15] = int(plane)
    return mask


@pytest.mark.parametrize("plane", [MaskPlane.SAT, MaskPlane.NO_DATA, MaskPlane.CR])
def test_spoilt_pixels_spoil_the_core_of_the_kernel_around_them(plane):
    dilated = plane.in_mask(dilate_mask(mask_with(plane), 2.0))
    # Pixels within 2 px: 1 + 4 + 4 + 4.
    assert dilated.sum() == 13


def test_marks_of_injected_sources_do_not_grow():
    dilated = dilate_mask(mask_with(MaskPlane.INJECTED), 3.0)
    assert np.array_equal(dilated, mask_with(MaskPlane.INJECTED))


def test_saturation_of_the_template_is_told_apart():
    renamed = mask_of_template(mask_with(MaskPlane.SAT))
    assert np.array_equal(renamed, mask_with(MaskPlane.SAT | MaskPlane.SAT_TEMPLATE))


@pytest.mark.parametrize(
    "plane", [MaskPlane.CLIPPED, MaskPlane.SENSOR_EDGE, MaskPlane.INTRP, MaskPlane.EDGE]
)
def test_how_a_template_was_made_is_not_said_of_the_difference(plane):
    assert not mask_of_template(mask_with(plane)).any()


@pytest.mark.parametrize("plane", [MaskPlane.HIGH_VARIANCE, MaskPlane.CR])
def test_what_spoils_a_template_spoils_the_difference(plane):
    assert np.array_equal(mask_of_template(mask_with(plane)), mask_with(plane))


def test_sources_injected_into_the_template_are_told_apart():
    renamed = mask_of_template(mask_with(MaskPlane.INJECTED))
    assert np.array_equal(renamed, mask_with(MaskPlane.INJECTED_TEMPLATE))


def test_detections_on_the_inputs_are_forgotten():
    detected = mask_with(MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE)
    no_data = np.zeros(detected.shape, bool)
    assert not combine_masks(detected, detected, no_data, 0).any()


@pytest.mark.parametrize("edge", [0, 1, 3, 25])
def test_edge_is_as_wide_as_asked_for(edge):
    empty = np.zeros((20, 30), np.int32)
    marked = MaskPlane.EDGE.in_mask(combine_masks(empty, empty, empty > 0, edge))
    inner = max(20 - 2 * edge, 0) * max(30 - 2 * edge, 0)
    assert marked.sum() == 600 - inner
