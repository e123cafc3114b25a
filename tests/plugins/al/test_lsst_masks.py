"""LSST's assertions on the mask of a difference: A14 and A19."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.model import UNUSABLE, Convolved, MaskPlane
from streamdiff_al import AlardLuptonSubtractor

DETECTED = MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE
# LSST clears a template's CR, too: where it is set, our pixels are interpolated.
FROM_TEMPLATE = UNUSABLE | MaskPlane.HIGH_VARIANCE
FROM_TEMPLATE |= MaskPlane.SAT_TEMPLATE | MaskPlane.INJECTED_TEMPLATE
BLOCK = np.s_[100:125, 130:155]


def count(plane, mask):
    return int(plane.in_mask(mask).sum())


def flagged(exposure, **planes):
    """Return an exposure with planes set in one place each."""
    mask = np.array(exposure.mask)
    for plane, place in planes.items():
        mask[place] |= np.int32(MaskPlane[plane])
    return replace(exposure, mask=mask)


@pytest.fixture(scope="module", params=[Convolved.TEMPLATE, Convolved.SCIENCE])
def pair(lsst_scene, request):
    """Images the sharper one of which is to be convolved."""
    sigmas = (2.4, 2.0) if request.param is Convolved.TEMPLATE else (2.0, 2.4)
    return [lsst_scene.observe(s, seed) for s, seed in zip(sigmas, (6, 7), strict=True)]


@pytest.fixture(scope="module")
def all_planes(pair):
    """Science image with a few pixels of every plane; template with a block of all."""
    science, template = pair
    few = {p.name: np.s_[40 + 2 * i, 60:63] for i, p in enumerate(MaskPlane)}
    science = flagged(science, **few)
    template = flagged(template, **dict.fromkeys(MaskPlane.__members__, BLOCK))
    return science, AlardLuptonSubtractor().subtract(science, template)


def test_no_plane_of_the_science_image_is_lost_but_detections(all_planes):  # A14
    science, difference = all_planes
    assert count(DETECTED, difference.mask) == 0
    for plane in MaskPlane:
        if plane not in DETECTED:
            assert count(plane, difference.mask) >= count(plane, science.mask)


def test_planes_of_the_template_that_matter_survive_alone(all_planes):  # A14
    _, difference = all_planes
    middle = np.s_[110:115, 140:145]
    present = np.bitwise_or.reduce(difference.mask[middle], axis=None)
    assert MaskPlane(int(present)) == FROM_TEMPLATE


def test_marks_of_injected_sources_are_told_apart_and_do_not_grow(pair):  # A19
    science, template = pair
    science = flagged(science, INJECTED=np.s_[60:63, 80:83])
    template = flagged(template, INJECTED=np.s_[150:153, 120:123])
    difference = AlardLuptonSubtractor().subtract(science, template)
    for plane, mask in (
        (MaskPlane.INJECTED, science.mask),
        (MaskPlane.INJECTED_TEMPLATE, template.mask),
    ):
        marked = MaskPlane.INJECTED.in_mask(mask)
        assert np.array_equal(plane.in_mask(difference.mask), marked)
