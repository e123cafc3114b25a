"""The static sky of a stack, and where single epochs deviate from it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamdiff_coadd.deviations import deviations
from streamdiff_coadd.matched import CommonPsf, Matching
from streamdiff_coadd.stack import Stack
from streamdiff_coadd.strip import THIN, DeviationRules, Strip, StripModel


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StaticSky:
    """What the epochs have in common, at the common PSF, and what they do not.

    Attributes
    ----------
    psf : CommonPsf
    matchings : sequence of Matching
        One per input.
    image, variance : ndarray of float32, shape (ny, nx)
        0 without data.
    n_image : ndarray of uint16, shape (ny, nx)
        Number of epochs with data.
    seeds, deviant : sequence of ndarray of uint8
        Per input, packed: where it deviates by more than the one, and the other
        threshold.
    amounts : sequence of list of ndarray of float32
        Per input, strip by strip: by how much the deviant pixels deviate.
    smallest : ndarray of float32, shape (ny, nx)
        What deviates less shows the wings of what another epoch shows.
    """

    psf: CommonPsf
    matchings: Sequence[Matching]
    image: NDArray[np.float32]
    variance: NDArray[np.float32]
    n_image: NDArray[np.uint16]
    seeds: Sequence[NDArray[np.uint8]]
    deviant: Sequence[NDArray[np.uint8]]
    amounts: Sequence[list[NDArray[np.float32]]]
    smallest: NDArray[np.float32]

    @classmethod
    def of(cls, stack: Stack, rules: DeviationRules) -> "StaticSky":
        """Return the static sky of a stack: the mean of what is near the median."""
        psf = CommonPsf.of(stack.inputs, stack.shape)
        image, variance, smallest = (np.zeros(stack.shape, np.float32) for _ in "ivs")
        sky = cls(
            psf=psf,
            matchings=[psf.matching(item.psf) for item in stack.inputs],
            image=image,
            variance=variance,
            n_image=np.zeros(stack.shape, np.uint16),
            seeds=[_no_bits(stack.shape) for _ in stack.inputs],
            deviant=[_no_bits(stack.shape) for _ in stack.inputs],
            amounts=[[] for _ in stack.inputs],
            smallest=smallest,
        )
        for rows in stack.strips():
            sky._fill(stack, rows, rules)
        return sky

    @property
    def level(self) -> np.float32:
        """Return the level of the sky between the sources."""
        return np.float32(np.median(self.image[THIN]))

    def unpack(self, bits: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Return packed bits as a plane; shape (ny, nx)."""
        width = self.image.shape[1]
        return np.unpackbits(bits, axis=1, count=width).view(bool)

    def _fill(self, stack: Stack, rows: slice, rules: DeviationRules) -> None:
        """Fill in some rows of all planes."""
        side = int(np.ceil(self.psf.fwhm)) | 1
        # Rows around them make the filters give what they give on the whole image.
        first = max(rows.start - side, 0)
        outer = slice(first, min(rows.stop + side, stack.shape[0]))
        inner = slice(rows.start - first, rows.stop - first)
        box = outer, slice(0, stack.shape[1])
        strip = Strip.of(stack, self.matchings, box, rules.level_cell)
        model = StripModel.of(strip, side, rules)
        self.image[rows], self.variance[rows] = (
            model.image[inner],
            model.variance[inner],
        )
        self.n_image[rows] = model.n_usable[inner]
        largest = np.zeros(model.image.shape, np.float32)
        for number in range(len(stack.inputs)):
            strong, weak, amount = deviations(model, strip, number, rules)
            self.seeds[number][rows] = np.packbits(strong[inner], axis=1)
            self.deviant[number][rows] = np.packbits(weak[inner], axis=1)
            self.amounts[number].append(amount[inner][weak[inner]])
            np.maximum(largest, amount, out=largest)
        self.smallest[rows] = np.float32(rules.comparable) * largest[inner]


def _no_bits(shape: tuple[int, int]) -> NDArray[np.uint8]:
    height, width = shape
    return np.zeros((height, -(-width // 8)), np.uint8)
