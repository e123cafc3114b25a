"""The mask of a difference, from those of the two exposures."""

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.interpolate import dilate_bits_by_disc
from streamdiff.model import UNUSABLE, MaskPlane

# What was found on the inputs says nothing about the difference.
_DROPPED = MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE
# Planes of a template that say something about the difference; all others tell how
# the template was made, or of its sources.
_OF_TEMPLATE = UNUSABLE | MaskPlane.HIGH_VARIANCE
_OF_TEMPLATE |= MaskPlane.SAT_TEMPLATE | MaskPlane.INJECTED_TEMPLATE
# Planes that mark a source, not pixels that spoil their surroundings.
_KEPT_AS_THEY_ARE = MaskPlane.INJECTED | MaskPlane.INJECTED_TEMPLATE
_RENAMED = {
    MaskPlane.SAT: MaskPlane.SAT_TEMPLATE,
    MaskPlane.INJECTED: MaskPlane.INJECTED_TEMPLATE,
}


def dilate_mask(mask: NDArray[np.int32], radius: float) -> NDArray[np.int32]:
    """Return the mask of an image after it was convolved or filtered.

    Every plane grows by the radius of the core of the kernel or filter [pixel],
    but those that only mark where a source was injected.
    """
    return dilate_bits_by_disc(mask, ~int(_KEPT_AS_THEY_ARE), radius)


def mask_of_template(mask: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return a template's mask as the difference is to show it.

    Saturation stays what it is, and is said to be the template's; sources
    injected into the template are told from those in the science image. Beside
    these, `UNUSABLE` planes and HIGH_VARIANCE are kept.
    """
    kept = mask & np.int32(_OF_TEMPLATE)
    for plane, renamed in _RENAMED.items():
        np.bitwise_or(kept, np.int32(renamed), out=kept, where=plane.in_mask(mask))
    return kept


def combine_masks(
    science: NDArray[np.int32],
    template: NDArray[np.int32],
    no_data: NDArray[np.bool_],
    edge: int,
) -> NDArray[np.int32]:
    """Return the mask of a difference.

    Parameters
    ----------
    science, template : ndarray of int32, shape (ny, nx)
        Masks; that of a convolved image is dilated.
    no_data : ndarray of bool, shape (ny, nx)
        Where there is no difference.
    edge : int
        Width [pixel] of the border where the kernel's core leaves the image.
    """
    mask = mask_of_template(template)
    mask |= science
    mask &= ~np.int32(_DROPPED)
    np.bitwise_or(mask, np.int32(MaskPlane.NO_DATA), out=mask, where=no_data)
    if edge:
        mask[:edge] |= np.int32(MaskPlane.EDGE)
        mask[-edge:] |= np.int32(MaskPlane.EDGE)
        mask[:, :edge] |= np.int32(MaskPlane.EDGE)
        mask[:, -edge:] |= np.int32(MaskPlane.EDGE)
    return mask
