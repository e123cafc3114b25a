"""Which peaks are sources, and which only belong to a brighter one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal, sparse
from scipy.spatial import cKDTree

from streamdiff_detection.peaks import Peaks


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighbourRules:
    """When a peak belongs to a brighter one.

    Attributes
    ----------
    threshold : float
        Least significance [sigma] of what the brighter ones do not explain.
    tolerance : float
        Uncertainty of the profile of a source, as a fraction of it.
    min_separation : float
        Peaks of one sign closer than this are one source [pixel].
    lobe_separation : float
        A peak of the other sign closer than this is the other lobe of a dipole
        [pixel].
    """

    threshold: float
    tolerance: float
    min_separation: float
    lobe_separation: float


def find_owners(
    peaks: Peaks, psf: NDArray[np.float64], rules: NeighbourRules
) -> NDArray[np.intp]:
    """Return for each peak the number of the peak that it belongs to.

    A source belongs to itself.

    Parameters
    ----------
    peaks : Peaks
    psf : ndarray of float64, shape (ky, kx)
        PSF of the difference.
    rules : NeighbourRules

    Notes
    -----
    Filtered with its own PSF, a source of significance nu has the profile nu A,
    where A is the autocorrelation of the PSF over its value at 0. The PSF of a
    whitened difference has rings, and so has A: those of a bright source exceed
    the threshold. From the most significant one on, each peak has to exceed the
    sum of the profiles of the sources before it.
    """
    profiles, distances = _pairs(peaks, psf)
    owner = np.full(len(peaks), -1, np.intp)
    amplitude = np.zeros(len(peaks))
    for number in peaks.by_significance():
        near = slice(profiles.indptr[number], profiles.indptr[number + 1])
        beside = profiles.indices[near]
        is_source = owner[beside] == beside
        sources = beside[is_source]
        wings = amplitude[sources] * profiles.data[near][is_source]
        left = peaks.score[number] - wings.sum()

        sign = np.sign(peaks.score[number])
        same = np.sign(peaks.score[sources]) == sign
        distance = distances[near][is_source]
        absorbed = distance < np.where(
            same, rules.min_separation, rules.lobe_separation
        )
        enough = rules.threshold + rules.tolerance * np.abs(wings).sum()
        if sources.size and (absorbed.any() or sign * left < enough):
            owner[number] = sources[np.argmin(distance)]
        else:
            owner[number], amplitude[number] = number, left
    return owner


def _pairs(
    peaks: Peaks, psf: NDArray[np.float64]
) -> tuple[sparse.csr_array, NDArray[np.float64]]:
    """Return profiles of peaks at the pixels of others, and the distances.

    In row i and column j is the profile of peak j at the pixel of peak i; the
    distances are in the order of its data.
    """
    profile = signal.correlate(psf, psf, mode="full")
    profile /= profile.max()
    places = np.stack([peaks.y, peaks.x], axis=1)
    reach = max(psf.shape) - 1.0
    first, second = cKDTree(places).query_pairs(reach, output_type="ndarray").T
    i, j = np.concatenate([first, second]), np.concatenate([second, first])
    offset = np.stack([peaks.row, peaks.column], axis=1)[i] - places[j]
    middle = (np.array(profile.shape) - 1) / 2
    at = (offset + middle).T
    value = ndimage.map_coordinates(profile, at, order=1)

    order = np.lexsort((j, i))
    ends = np.searchsorted(i[order], np.arange(len(peaks) + 1))
    pairs = sparse.csr_array(
        (value[order], j[order], ends), shape=(len(peaks), len(peaks))
    )
    return pairs, np.hypot(*(places[i] - places[j]).T)[order]
