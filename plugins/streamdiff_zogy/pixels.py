"""The pixels of two exposures, made ready for transforms."""

from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.interpolate import fill_unusable
from streamdiff.model import UNUSABLE, Exposure, MaskPlane

# Transforms in single precision spread 1e-7 of the largest value over a block: what
# is brighter than this [sigma] is no measurement, and would drown its surroundings.
_ABSURD = 1e9
# Error of what is filled in, as a fraction of it, and at most [sigma]: the rounding
# errors of a transform are those of the largest variance of a block.
_FILL_ERROR, _MOST_ERROR = 1.0, 300.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pixels:
    """One exposure without holes.

    Attributes
    ----------
    image : ndarray of float32, shape (ny, nx)
        Finite everywhere.
    power : ndarray of float32, shape (ny, nx)
        Noise power at frequency 0: the variance times the covariance factor.
        Finite and positive everywhere.
    no_data : ndarray of bool, shape (ny, nx)
        Whether a pixel has no value of its own.
    """

    image: NDArray[np.float32]
    power: NDArray[np.float32]
    no_data: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PixelPair:
    """Both exposures without holes.

    Attributes
    ----------
    science, template : Pixels
    usable : ndarray of bool, shape (ny, nx)
        Whether a pixel is good in both.
    """

    science: Pixels
    template: Pixels
    usable: NDArray[np.bool_]

    @classmethod
    def of(cls, science: Exposure, template: Exposure) -> "PixelPair":
        """Return the pixels of two exposures of the same shape.

        Notes
        -----
        A pixel that can not be used in one image is filled in in both: the same
        piece is cut out of a star. The fill is a smooth surface, a part of which
        counts as noise, with noise that is always the same for an exposure.
        """
        no_data = [_without_data(e) for e in (science, template)]
        unusable = no_data[0] | no_data[1]
        for exposure in (science, template):
            unusable |= UNUSABLE.in_mask(exposure.mask) | ~(exposure.variance > 0)
        generators = np.random.default_rng(_seed(science)).spawn(2)
        of_science, of_template = (
            _filled(exposure, unusable, missing, rng)
            for exposure, missing, rng in zip(
                (science, template), no_data, generators, strict=True
            )
        )
        return cls(science=of_science, template=of_template, usable=~unusable)


def _without_data(exposure: Exposure) -> NDArray[np.bool_]:
    no_data = MaskPlane.NO_DATA.in_mask(exposure.mask)
    no_data |= ~(np.isfinite(exposure.image) & np.isfinite(exposure.variance))
    has_noise = ~no_data & (exposure.variance > 0)
    sigma = np.sqrt(np.where(has_noise, exposure.variance, 1))
    no_data |= has_noise & (np.abs(exposure.image) / _ABSURD > sigma)
    return no_data


def _filled(
    exposure: Exposure,
    unusable: NDArray[np.bool_],
    no_data: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Pixels:
    image = fill_unusable(exposure.image, unusable)
    variance = fill_unusable(exposure.variance, unusable)
    level, noise = image[unusable], variance[unusable]
    image[unusable] += np.sqrt(noise) * rng.standard_normal(noise.size, np.float32)
    power: NDArray[np.float32] = variance * exposure.covariance_factor
    error = np.minimum(
        np.abs(level) * np.float32(_FILL_ERROR),
        np.sqrt(noise) * np.float32(_MOST_ERROR),
    )
    power[unusable] += np.square(error)
    return Pixels(image=image, power=power.astype(np.float32), no_data=no_data)


def _seed(science: Exposure) -> int:
    return crc32(str(science.id).encode())
