"""Plain camera frames: sky, noise and mask of an image that came alone."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from scipy import ndimage

from streamdiff.adapters.fits.identity import Headers
from streamdiff.errors import ConfigError
from streamdiff.imaging.background import blank_pixels, sky_background
from streamdiff.imaging.noise import robust_std
from streamdiff.model import UNUSABLE, MaskPlane

SkyNoise = Literal["auto", "measured", "predicted"]

# An integer image saturates where its highest value forms a plateau.
_PLATEAU_PIXELS = 10
_BLEED_FRACTION = 0.8
# Frames whose median is within so many sigma of 0 have no sky to subtract.
_SKY_SIGMA = 3.0
# Photon noise is taken from a smoothed image, or the variance of a pixel would
# follow its noise and bias every weighted mean; only where stars stand out, or
# the positive half of the noise of the sky would add to its variance.
_SMOOTHING, _SOURCE_SIGMA = 0.8, 3.0
_MIN_BLANK = 100


@dataclass(frozen=True, kw_only=True)
class FrameOptions:
    """How to make variance and mask of a frame that has neither.

    Attributes
    ----------
    gain_key, read_noise_key, saturate_key : str
        Keywords of the constants of the detector.
    gain : float or None
        Electrons per count; wins over the header.
    read_noise : float or None
        In electrons; wins over the header.
    saturate : float or None
        Value from which pixels are saturated; wins over the header. Without
        any, the plateau of the highest value of an integer image.
    saturation_grow : int
        How far masks of saturated pixels and bleeds grow [pixel].
    background_box : int
        Side of the boxes of the sky's mesh [pixel]. Small ones follow the stars
        of a crowded field.
    sky_noise : {"auto", "measured", "predicted"}
        Whether the noise of blank sky is measured, or predicted from gain, read
        noise and level. ``auto`` predicts where a frame still has its sky, but
        never more than it measures: resampled frames have less noise than
        their gain says, crowded ones seem to have more.
    """

    gain_key: str = "GAIN"
    gain: Annotated[float, Gt(0)] | None = None
    read_noise_key: str = "RDNOISE"
    read_noise: Annotated[float, Ge(0)] | None = None
    saturate_key: str = "SATURATE"
    saturate: Annotated[float, Gt(0)] | None = None
    saturation_grow: Annotated[int, Ge(0)] = 1
    background_box: Annotated[int, Ge(8)] = 256
    sky_noise: SkyNoise = "auto"

    def __post_init__(self) -> None:
        if self.sky_noise not in {"auto", "measured", "predicted"}:
            raise ConfigError(
                f"sky_noise must be auto, measured or predicted, got {self.sky_noise!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorConstants:
    """What turns counts into noise.

    Attributes
    ----------
    gain : float
        Electrons per count.
    read_noise : float or None
        In electrons.
    saturate : float
        In counts; infinite if unknown.
    """

    gain: float
    read_noise: float | None
    saturate: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FramePlanes:
    """Image without sky, variance and mask of a frame; shape (ny, nx)."""

    image: NDArray[np.float32]
    variance: NDArray[np.float32]
    mask: NDArray[np.int32]


def detector_constants(
    headers: Headers, options: FrameOptions, counts: NDArray[np.generic]
) -> DetectorConstants:
    """Return the constants that options, header or pixels tell.

    Raises
    ------
    InvalidExposureError
        If the gain is not known, or a constant out of range.
    """
    gain = options.gain or headers.number(options.gain_key)
    if gain is None:
        raise headers.missing(
            options.gain_key,
            "without VARIANCE the noise needs it: set gain or gain_key",
        )
    if gain <= 0:
        raise headers.image.invalid(f"must be positive, is {gain}", options.gain_key)
    read_noise = options.read_noise
    if read_noise is None:
        read_noise = headers.number(options.read_noise_key)
    if read_noise is not None and read_noise < 0:
        raise headers.image.invalid(
            f"must not be negative, is {read_noise}", options.read_noise_key
        )
    saturate = options.saturate or headers.number(options.saturate_key)
    return DetectorConstants(
        gain=gain,
        read_noise=read_noise,
        saturate=_plateau(counts) if saturate is None else saturate,
    )


def frame_planes(
    counts: NDArray[np.float32],
    mask: NDArray[np.int32],
    constants: DetectorConstants,
    options: FrameOptions,
) -> FramePlanes:
    """Return the planes of a frame.

    Parameters
    ----------
    counts : ndarray of float32, shape (ny, nx)
        With or without sky.
    mask : ndarray of int32, shape (ny, nx)
        What is known already.
    constants : DetectorConstants
    options : FrameOptions
    """
    mask = mask | frame_mask(
        counts, saturate=constants.saturate, grow=options.saturation_grow
    )
    unusable = UNUSABLE.in_mask(mask)
    sky = sky_background(counts, unusable, box=options.background_box)
    image = counts - sky
    variance = _sky_variance(image, sky, unusable, constants, options.sky_noise)
    return FramePlanes(
        image=image,
        variance=variance + _photon_variance(image, variance, unusable, constants),
        mask=mask,
    )


def frame_mask(
    counts: NDArray[np.float32], *, saturate: float, grow: int
) -> NDArray[np.int32]:
    """Return the mask of pixels without data, saturated, and bled into.

    Charge that bleeds leaves runs of high values along a row or a column that
    begin at a saturated pixel.
    """
    without = ~np.isfinite(counts)
    saturated = np.where(without, -np.inf, counts) >= saturate
    if saturated.any():
        high = np.where(without, -np.inf, counts) >= _BLEED_FRACTION * saturate
        along_rows = np.array([[0, 0, 0], [1, 1, 1], [0, 0, 0]], bool)
        saturated = ndimage.binary_propagation(
            saturated, along_rows, mask=high
        ) | ndimage.binary_propagation(saturated, along_rows.T, mask=high)
        saturated = ndimage.maximum_filter(saturated, 2 * grow + 1)
    mask = np.where(saturated, np.int32(MaskPlane.SAT), np.int32(0))
    mask |= np.where(without, np.int32(MaskPlane.NO_DATA | MaskPlane.BAD), np.int32(0))
    return mask


def _plateau(counts: NDArray[np.generic]) -> float:
    """Return the highest value of an integer image if many pixels share it."""
    if counts.dtype.kind not in "iu":
        return np.inf
    highest = counts.max()
    is_plateau = highest > 0 and np.count_nonzero(counts == highest) >= _PLATEAU_PIXELS
    return float(highest) if is_plateau and counts.min() < highest else np.inf


def _sky_variance(
    image: NDArray[np.float32],
    sky: NDArray[np.float32],
    unusable: NDArray[np.bool_],
    constants: DetectorConstants,
    sky_noise: SkyNoise,
) -> NDArray[np.float32]:
    """Return the variance of every pixel if there were no sources."""
    measured = _measured_variance(image, unusable)
    level = float(np.median(sky))
    has_sky = level > _SKY_SIGMA * np.sqrt(measured)
    if sky_noise == "measured" or (sky_noise == "auto" and not has_sky):
        return np.full(image.shape, measured, np.float32)
    read_variance = ((constants.read_noise or 0.0) / constants.gain) ** 2
    predicted = np.maximum(sky, 0) / constants.gain + read_variance
    typical = float(np.median(predicted))
    if sky_noise == "auto" and 0 < measured < typical:
        predicted = predicted * (measured / typical)
    return np.maximum(predicted, np.finfo(np.float32).tiny).astype(np.float32)


def _measured_variance(
    image: NDArray[np.float32], unusable: NDArray[np.bool_]
) -> float:
    blank = blank_pixels(image, unusable)
    used = image[blank] if blank.sum() >= _MIN_BLANK else image[~unusable]
    if not used.size:
        return 1.0
    return max(robust_std(used) ** 2, float(np.finfo(np.float32).tiny))


def _photon_variance(
    image: NDArray[np.float32],
    sky_variance: NDArray[np.float32],
    unusable: NDArray[np.bool_],
    constants: DetectorConstants,
) -> NDArray[np.float32]:
    """Return the variance that the light of sources adds."""
    filled = np.where(unusable & ~np.isfinite(image), np.float32(0), image)
    once = ndimage.gaussian_filter(filled, _SMOOTHING)
    # Twice smoothed and subtracted: what smoothing took from the peaks comes back.
    light = 2 * once - ndimage.gaussian_filter(once, _SMOOTHING)
    stands_out = once > _SOURCE_SIGMA * np.sqrt(sky_variance)
    added = np.where(stands_out, np.maximum(light, 0), np.float32(0))
    return np.asarray(added / constants.gain, np.float32)
