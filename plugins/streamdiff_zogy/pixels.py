"""The pixels of two exposures, made ready for transforms."""

from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from streamdiff.imaging.compiled import compiled
from streamdiff.imaging.interpolate import fill_unusable
from streamdiff.imaging.places import Places, places
from streamdiff.model import UNUSABLE, Exposure, MaskPlane

# Transforms in single precision spread 1e-7 of the largest value over a block: what
# is brighter than this [sigma] is no measurement, and would drown its surroundings.
_ABSURD = 1e9
_GOOD, _FILLED, _SATURATED, _NO_DATA = range(4)
# What is filled in, or lies beyond the border, may be wrong by as much as itself; the
# light of a saturated core is several times what its rim tells.
_DOUBT, _DOUBT_OF_CORE = np.uint8(1), np.uint8(3)
# Levels below this [sigma] are blank sky.
_DOUBTFUL = 5.0
# Beyond the border is the mirror image, averaged over so many pixels.
_SMOOTHING = 7


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Holes:
    """Which pixels of two exposures have to be filled in.

    Attributes
    ----------
    unusable : ndarray of bool, shape (ny, nx)
        Whether a pixel is not good in both.
    saturated : tuple of ndarray of int, shape (n,)
        Rows and columns of those where that is for saturation.
    no_data : ndarray of bool, shape (ny, nx)
        Whether one of them has no value there at all.
    """

    unusable: NDArray[np.bool_]
    saturated: Places
    no_data: NDArray[np.bool_]

    @classmethod
    def of(cls, science: Exposure, template: Exposure) -> "Holes":
        """Return the holes of two exposures of the same shape."""
        state = np.zeros(science.shape, np.uint8)
        for exposure in (science, template):
            _classify(exposure.image, exposure.variance, exposure.mask, state)
        return cls(
            unusable=state != _GOOD,
            saturated=places(state == _SATURATED),
            no_data=state == _NO_DATA,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pixels:
    """One exposure without holes, and with a margin around it.

    Attributes
    ----------
    image : ndarray of float32, shape (ny + 2 margin, nx + 2 margin)
        Finite everywhere.
    power : ndarray of float32, shape (ny + 2 margin, nx + 2 margin)
        Noise power at frequency 0: the variance times the covariance factor.
        Finite everywhere.
    """

    image: NDArray[np.float32]
    power: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PixelPair:
    """Both exposures without holes, and with a margin around them.

    Attributes
    ----------
    science, template : Pixels
    doubt : ndarray of uint8, shape (ny + 2 margin, nx + 2 margin)
        By how much an image may be wrong where it is filled in, as a multiple of
        itself; 0 where it was measured.
    """

    science: Pixels
    template: Pixels
    doubt: NDArray[np.uint8]

    @classmethod
    def of(
        cls, science: Exposure, template: Exposure, holes: Holes, margin: int
    ) -> "PixelPair":
        """Return the pixels of two exposures.

        Notes
        -----
        A pixel that can not be used in one image is filled in in both: the same
        piece is cut out of a star. The fill is a smooth surface, with noise that is
        always the same for an exposure; so is what lies beyond the border.
        """
        # What is beyond the border is filled in, too.
        doubt = np.pad(holes.unusable.view(np.uint8), margin, constant_values=_DOUBT)
        inner = doubt[margin:-margin, margin:-margin]
        inner[holes.saturated] = _DOUBT_OF_CORE
        generators = np.random.default_rng(_seed(science)).spawn(2)
        pixels = [
            _filled(exposure, holes.unusable, margin, generator)
            for exposure, generator in zip((science, template), generators, strict=True)
        ]
        filled = np.flatnonzero(doubt)
        bright = np.zeros(filled.size, bool)
        for plane in pixels:
            sigma = np.sqrt(plane.power.ravel()[filled])
            bright |= np.abs(plane.image.ravel()[filled]) > _DOUBTFUL * sigma
        doubt.ravel()[filled[~bright]] = 0
        return cls(science=pixels[0], template=pixels[1], doubt=doubt)


def doubtful(
    image: NDArray[np.float32], doubt: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return by how much an image may be wrong."""
    return image * doubt.astype(np.float32)


@compiled
def _mark(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    mask: NDArray[np.int32],
    planes: NDArray[np.int32],
    state: NDArray[np.uint8],
) -> None:
    """Raise the state of pixels that are not good."""
    unusable, saturated, no_data = planes
    for j in range(state.shape[0]):
        for i in range(state.shape[1]):
            value, noise, bits = image[j, i], variance[j, i], mask[j, i]
            found = 0
            if bits & unusable or not noise > 0:
                found = 1
            if bits & saturated:
                found = 2
            known = np.isfinite(value) and np.isfinite(noise)
            absurd = noise > 0 and abs(value) > _ABSURD * np.sqrt(noise)
            if bits & no_data or absurd or not known:
                found = 3
            state[j, i] = max(state[j, i], found)


def _classify(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    mask: NDArray[np.int32],
    state: NDArray[np.uint8],
) -> None:
    planes = np.array([UNUSABLE, MaskPlane.SAT, MaskPlane.NO_DATA], np.int32)
    _mark(image, variance, mask, planes, state)


def _filled(
    exposure: Exposure,
    unusable: NDArray[np.bool_],
    margin: int,
    generator: np.random.Generator,
) -> Pixels:
    # Whatever the number of holes, the noise beyond the border is the same.
    of_holes, of_border = generator.spawn(2)
    image = fill_unusable(exposure.image, unusable)
    variance = fill_unusable(exposure.variance, unusable)
    # Few as they are, their numbers take less time than a plane that marks them.
    missing = np.flatnonzero(unusable)
    sigma = np.sqrt(variance.ravel()[missing])
    image.ravel()[missing] += sigma * of_holes.standard_normal(sigma.size, np.float32)
    variance *= exposure.covariance_factor
    image, power = (np.pad(p, margin, mode="symmetric") for p in (image, variance))
    for strip in _strips(margin):
        smooth = ndimage.uniform_filter(image[strip], _SMOOTHING)
        white = of_border.standard_normal(smooth.shape, np.float32)
        image[strip] = smooth + np.sqrt(power[strip]) * white
    return Pixels(image=image, power=power)


def _strips(margin: int) -> tuple[tuple[slice, slice], ...]:
    """Return the four strips around an image."""
    low, high, inner = slice(margin), slice(-margin, None), slice(margin, -margin)
    everything = slice(None)
    return (low, everything), (high, everything), (inner, low), (inner, high)


def _seed(science: Exposure) -> int:
    return crc32(str(science.id).encode())
