"""The transforms of filters on the grid of a block."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.blocks import Blocks
from streamdiff_zogy.filter_field import FilterStamps, middle
from streamdiff_zogy.filters import ProperFilters

Spectrum: TypeAlias = NDArray[np.complex64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NodeFilters:
    """What makes difference and score with the filters of one position.

    Attributes
    ----------
    science, template : ndarray of complex64, shape (height, width // 2 + 1)
        K_n and K_r, shifted to where `Blocks.invert` expects what is filtered.
    matched : ndarray of complex64, shape (height, width // 2 + 1)
        Makes the score from the difference.
    psf_power : float
        Sum of the squares of the PSF of the difference.
    """

    science: Spectrum
    template: Spectrum
    matched: Spectrum
    psf_power: float

    @classmethod
    def of(
        cls, filters: ProperFilters, blocks: Blocks, shift: Spectrum
    ) -> "NodeFilters":
        """Return the filters of a position on the grid of blocks.

        Parameters
        ----------
        filters : ProperFilters
        blocks : Blocks
        shift : ndarray of complex64, shape (height, width // 2 + 1)
            See `shift_of`.
        """
        return cls(
            science=filters.science * shift,
            template=filters.template * shift,
            matched=np.conj(filters.psf),
            psf_power=_sum_of_squares(filters.psf, blocks.padded),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NoiseFilters:
    """What makes variances, for both images; shape (2, height, width // 2 + 1).

    Attributes
    ----------
    plain, score : ndarray of complex64
        What makes the difference and the score.
    plain_squares, score_squares : ndarray of complex64
        The transforms of the squares of these filters.
    plain_stamps, score_stamps : ndarray of float32, shape (2, side, side)
        The filters as images.
    psf_power : float
        Sum of the squares of the PSF of the difference.
    """

    plain: Spectrum
    score: Spectrum
    plain_squares: Spectrum
    score_squares: Spectrum
    plain_stamps: NDArray[np.float32]
    score_stamps: NDArray[np.float32]
    psf_power: float

    @classmethod
    def of(cls, stamps: FilterStamps, blocks: Blocks) -> "NoiseFilters":
        """Return the filters of a position on the grid of blocks."""
        side = blocks.kernel_shape[0]
        plain, score = (
            middle(np.stack(pair), side)
            for pair in (
                (stamps.science, stamps.template),
                (stamps.science_score, stamps.template_score),
            )
        )
        return cls(
            plain=blocks.transform(plain),
            score=blocks.transform(score),
            plain_squares=blocks.transform(np.square(plain)),
            score_squares=blocks.transform(np.square(score)),
            plain_stamps=plain.astype(np.float32),
            score_stamps=score.astype(np.float32),
            psf_power=float(np.sum(np.square(stamps.psf))),
        )


def shift_of(blocks: Blocks) -> Spectrum:
    """Return the factors that move the middle of kernels to the origin of a block."""
    height, width = blocks.kernel_shape
    delta = np.zeros((height, width))
    delta[height // 2, width // 2] = 1
    return blocks.transform(delta)


def _sum_of_squares(spectrum: Spectrum, shape: tuple[int, int]) -> float:
    """Return the sum of the squares of the pixels that a half plane stands for."""
    # The first column, and the last of an even width, stand for themselves alone.
    alone = [0] if shape[1] % 2 else [0, -1]
    own = spectrum[:, alone]
    power = 2 * np.vdot(spectrum, spectrum) - np.vdot(own, own)
    return float(power.real) / (shape[0] * shape[1])
