"""The mask of a difference, from those of the two exposures."""

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled, inlined
from streamdiff.imaging.interpolate import dilate_bits_by_disc
from streamdiff.model import UNUSABLE, MaskPlane
from streamdiff.model.planes import read_only

# What was found on the inputs says nothing about the difference.
_DROPPED = MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE
# Planes of a template that say something about the difference; all others tell how
# the template was made, or of its sources.
_OF_TEMPLATE = UNUSABLE | MaskPlane.HIGH_VARIANCE
_OF_TEMPLATE |= MaskPlane.SAT_TEMPLATE | MaskPlane.INJECTED_TEMPLATE
# Planes that mark a source, not pixels that spoil their surroundings.
_KEPT_AS_THEY_ARE = MaskPlane.INJECTED | MaskPlane.INJECTED_TEMPLATE
# Compiled code takes them as the numbers that they are.
_SHOWN, _FORGOTTEN = int(_OF_TEMPLATE), int(_DROPPED)
_SAT, _SAT_TEMPLATE = int(MaskPlane.SAT), int(MaskPlane.SAT_TEMPLATE)
_INJECTED, _INJECTED_TEMPLATE = (
    int(MaskPlane.INJECTED),
    int(MaskPlane.INJECTED_TEMPLATE),
)
_NO_DATA = int(MaskPlane.NO_DATA)


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
    shown = np.empty(mask.shape, np.int32)
    _show_template(mask, shown)
    return shown


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
    mask = np.empty(science.shape, np.int32)
    _combine(read_only(science), read_only(template), no_data, mask)
    if edge:
        mask[:edge] |= np.int32(MaskPlane.EDGE)
        mask[-edge:] |= np.int32(MaskPlane.EDGE)
        mask[:, :edge] |= np.int32(MaskPlane.EDGE)
        mask[:, -edge:] |= np.int32(MaskPlane.EDGE)
    return mask


@compiled
def _show_template(mask: NDArray[np.int32], shown: NDArray[np.int32]) -> None:
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            shown[y, x] = _of_template(mask[y, x])


@compiled
def _combine(
    science: NDArray[np.int32],
    template: NDArray[np.int32],
    no_data: NDArray[np.bool_],
    combined: NDArray[np.int32],
) -> None:
    for y in range(combined.shape[0]):
        for x in range(combined.shape[1]):
            bits = (science[y, x] | _of_template(template[y, x])) & ~_FORGOTTEN
            combined[y, x] = bits | (_NO_DATA if no_data[y, x] else 0)


@inlined
def _of_template(bits: int) -> int:
    """Return a template's bits as the difference is to show them."""
    shown = bits & _SHOWN
    shown |= _SAT_TEMPLATE if bits & _SAT else 0
    shown |= _INJECTED_TEMPLATE if bits & _INJECTED else 0
    return shown
