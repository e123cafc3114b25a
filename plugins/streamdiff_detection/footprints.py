"""The pixels that belong to each detection."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from streamdiff.imaging.interpolate import dilate_by_disc
from streamdiff.imaging.islands import Islands
from streamdiff.imaging.places import places
from streamdiff.model import MaskPlane
from streamdiff_detection.peaks import Peaks

_DETECTED = MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Footprints:
    """Sizes of footprints; every attribute has shape (n,), one per peak.

    Attributes
    ----------
    area : ndarray of int64
        Number of pixels; 0 for a peak that belongs to another one.
    side : ndarray of int64
        Longer side of the bounding box [pixel].
    """

    area: NDArray[np.int64]
    side: NDArray[np.int64]


def mark_detected(
    mask: NDArray[np.int32], score: NDArray[np.float32], threshold: float, grow: float
) -> NDArray[np.int32]:
    """Return a mask with the detection planes of a significance map, no others.

    Both planes reach ``grow`` pixels beyond those above the threshold.
    """
    marked: NDArray[np.int32] = mask & ~np.int32(_DETECTED)
    for found, plane in (
        (score >= threshold, MaskPlane.DETECTED),
        (score <= -threshold, MaskPlane.DETECTED_NEGATIVE),
    ):
        marked[places(dilate_by_disc(found, grow))] |= np.int32(plane)
    return marked


def measure_footprints(
    mask: NDArray[np.int32], peaks: Peaks, owner: NDArray[np.intp]
) -> Footprints:
    """Return the sizes of the footprints of peaks.

    Parameters
    ----------
    mask : ndarray of int32, shape (ny, nx)
        From `mark_detected`.
    peaks : Peaks
    owner : ndarray of int, shape (n,)
        The peak that each belongs to: its pixels are that one's.

    Notes
    -----
    Positive and negative pixels that touch are one island; each of its pixels
    belongs to the nearest peak.
    """
    area = np.zeros(len(peaks), np.int64)
    if not len(peaks):
        return Footprints(area=area, side=area.copy())
    islands = Islands.of(_DETECTED.in_mask(mask))
    pixels = np.stack([islands.row, islands.column], axis=1)
    places_of_peaks = np.stack([peaks.row, peaks.column], axis=1)
    _, nearest = cKDTree(places_of_peaks).query(pixels)
    at_peaks = islands.at(peaks.row, peaks.column)
    own = at_peaks[nearest] == islands.number
    pixels, holder = pixels[own], owner[nearest[own]]

    lowest = np.full((len(peaks), 2), np.iinfo(np.int64).max)
    highest = np.full((len(peaks), 2), -1)
    np.minimum.at(lowest, holder, pixels)
    np.maximum.at(highest, holder, pixels)
    area = np.bincount(holder, minlength=len(peaks))
    side = np.where(area > 0, (highest - lowest).max(axis=1) + 1, 0)
    return Footprints(area=area, side=side)
