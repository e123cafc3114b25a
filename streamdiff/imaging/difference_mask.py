"""The mask of a difference, from those of the two exposures."""

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.interpolate import dilate_by_disc
from streamdiff.model import MaskPlane

# What was found on the inputs says nothing about the difference.
_DROPPED = MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE
# Planes that mark a source, not pixels that spoil their surroundings.
_KEPT_AS_THEY_ARE = MaskPlane.INJECTED | MaskPlane.INJECTED_TEMPLATE
_RENAMED = {
    MaskPlane.SAT: MaskPlane.SAT | MaskPlane.SAT_TEMPLATE,
    MaskPlane.INJECTED: MaskPlane.INJECTED_TEMPLATE,
}


def dilate_mask(mask: NDArray[np.int32], radius: float) -> NDArray[np.int32]:
    """Return the mask of an image after it was convolved or filtered.

    Every plane grows by the radius of the core of the kernel or filter [pixel],
    but those that only mark where a source was injected.
    """
    dilated = mask & np.int32(_KEPT_AS_THEY_ARE)
    for plane in _planes_in(mask):
        if plane not in _KEPT_AS_THEY_ARE:
            dilated[dilate_by_disc(plane.in_mask(mask), radius)] |= np.int32(plane)
    return dilated


def mask_of_template(mask: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return a template's mask as the difference is to show it.

    Saturation stays what it is, and is said to be the template's; sources
    injected into the template are told from those in the science image.
    """
    renamed = mask.copy()
    for plane in _planes_in(mask):
        if plane in _RENAMED:
            pixels = plane.in_mask(mask)
            renamed[pixels] &= ~np.int32(plane)
            renamed[pixels] |= np.int32(_RENAMED[plane])
    return renamed


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
    mask = (science | mask_of_template(template)) & ~np.int32(_DROPPED)
    mask[no_data] |= np.int32(MaskPlane.NO_DATA)
    if edge:
        mask[:edge] |= np.int32(MaskPlane.EDGE)
        mask[-edge:] |= np.int32(MaskPlane.EDGE)
        mask[:, :edge] |= np.int32(MaskPlane.EDGE)
        mask[:, -edge:] |= np.int32(MaskPlane.EDGE)
    return mask


def _planes_in(mask: NDArray[np.int32]) -> list[MaskPlane]:
    """Return the planes that are set anywhere; most never are."""
    found = int(np.bitwise_or.reduce(mask, axis=None))
    return [plane for plane in MaskPlane if plane & found]
