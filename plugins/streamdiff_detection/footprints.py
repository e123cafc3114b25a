"""The pixels that belong to each detection."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.interpolate import disc_rows
from streamdiff.imaging.islands import Islands
from streamdiff.imaging.places import Places
from streamdiff.model import MaskPlane
from streamdiff.model.planes import read_only
from streamdiff_detection.peaks import Peaks

_DETECTED = MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE
_ANY = np.int32(_DETECTED)
_POSITIVE = np.int32(MaskPlane.DETECTED)
_NEGATIVE = np.int32(MaskPlane.DETECTED_NEGATIVE)


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


def without_detections(mask: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return a copy of a mask without the detection planes."""
    copy: NDArray[np.int32] = mask & ~_ANY
    return copy


def mark_detected(
    mask: NDArray[np.int32],
    score: NDArray[np.float32],
    beyond: Places,
    *,
    threshold: float,
    grow: float,
) -> Places:
    """Mark the detection planes of a significance map, and return where they are.

    Both planes reach ``grow`` pixels beyond those that are ``beyond`` the threshold.
    """
    disc = disc_rows(grow)
    found = _draw_discs(read_only(score), threshold, *beyond, disc, mask)
    row, column = np.divmod(np.sort(found), max(mask.shape[1], 1))
    return row, column


@compiled
def _draw_discs(
    score: NDArray[np.float32],
    threshold: float,
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    disc: NDArray[np.int64],
    marked: NDArray[np.int32],
) -> NDArray[np.int64]:
    """Mark the pixels beyond the threshold, and discs around those on outlines.

    Those that were marked by no detection before are returned.
    """
    height, width = score.shape
    reach = len(disc) // 2
    found = [0 for _ in range(0)]
    for i in range(len(row)):
        y, x = row[i], column[i]
        sign = np.sign(score[y, x])
        lowest = min(
            sign * score[max(y - 1, 0), x],
            sign * score[min(y + 1, height - 1), x],
            sign * score[y, max(x - 1, 0)],
            sign * score[y, min(x + 1, width - 1)],
        )
        bit = _POSITIVE if sign > 0 else _NEGATIVE
        around = 0 if lowest >= threshold else reach
        for v in range(max(y - around, 0), min(y + around + 1, height)):
            half = disc[v - y + reach] if around else 0
            for u in range(max(x - half, 0), min(x + half + 1, width)):
                if not marked[v, u] & _ANY:
                    found.append(v * width + u)
                marked[v, u] |= bit
    return np.array(found, np.int64)


def measure_footprints(
    detected: Places, peaks: Peaks, owner: NDArray[np.intp]
) -> Footprints:
    """Return the sizes of the footprints of peaks.

    Parameters
    ----------
    detected : tuple of ndarray of int64
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
    islands = Islands.of(detected)
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
