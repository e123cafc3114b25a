"""Synthetic sources in science images: how much of what changes is found.

They are added to a copy, which is compared with the template in a run of its own:
no alert ever shows one.
"""

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from streamdiff.errors import InvalidExposureError
from streamdiff.imaging.empty_places import empty_places
from streamdiff.imaging.point_source import forced_flux
from streamdiff.imaging.quality import AB_NANOJANSKY
from streamdiff.imaging.stamps import nearest_pixels, psf_stamps
from streamdiff.model import UNUSABLE, Exposure, FluxScale, MaskPlane
from streamdiff.model.psf import fwhm, noise_equivalent_area
from streamdiff.pipeline.recovery import Recovery
from streamdiff.pipeline.result import Products

# How far a DiaSource may be from what it is of, and how far there is neither another
# injected source nor a bad pixel [FWHM].
_MATCH, _ROOM = 0.75, 2.0


class Scale(StrEnum):
    """What the brightness of injected sources is given in."""

    SNR = "snr"
    FLUX = "flux"
    MAGNITUDE = "mag"


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """Which sources are injected, and into how many of the visits.

    Attributes
    ----------
    n : int
        Sources per image.
    scale : Scale
    low, high : float
        Range of the brightness: uniform in magnitudes, or in the logarithm of
        signal over noise or flux.
    seed : int
        The same seed gives a visit the same sources, whatever else is different.
    fraction : float
        Part of the visits that get sources, in [0, 1].
    """

    n: int = 50
    scale: Scale = Scale.SNR
    low: float = 3.0
    high: float = 30.0
    seed: int = 0
    fraction: float = 1.0

    def __post_init__(self) -> None:
        positive = self.scale is Scale.MAGNITUDE or self.low > 0
        if not (self.n > 0 and positive and self.low <= self.high < np.inf):
            raise ValueError(
                f"injected sources: n must be positive and {self.scale} a range, got "
                f"n = {self.n}, {self.scale} = {self.low:g}:{self.high:g}"
            )

    def concerns(self, exposure: Exposure) -> bool:
        """Return whether sources are injected into an exposure."""
        return self._rng(exposure).random() < self.fraction

    def into(self, exposure: Exposure) -> "Injected":
        """Return a copy of an exposure with sources, flagged INJECTED.

        They have the PSF of their place, and no photon noise of their own. There are
        fewer than asked for where an image has no room for them.

        Raises
        ------
        InvalidExposureError
            If magnitudes are asked for and the exposure has no zero point.
        """
        rng = self._rng(exposure)
        rng.random()  # that of `concerns`
        height, width = exposure.shape
        stamp = exposure.psf.centred_at((width - 1) / 2, (height - 1) / 2)
        occupied = UNUSABLE.in_mask(exposure.mask) | ~(exposure.variance > 0)
        x, y = empty_places(
            occupied,
            self.n,
            radius=_ROOM * fwhm(stamp),
            seed=tuple(rng.integers(2**32, size=2).tolist()),
        )
        noise = _noise(exposure, x, y) * np.sqrt(noise_equivalent_area(stamp))
        flux = self._fluxes(exposure, rng, noise)
        image, mask = exposure.image.copy(), exposure.mask.copy()
        columns, rows = nearest_pixels(x, y)
        stamps = psf_stamps(exposure.psf, x, y)
        for column, row, stamp in zip(
            columns, rows, flux[:, np.newaxis, np.newaxis] * stamps, strict=True
        ):
            _add(image, stamp, int(column), int(row))
            mask[row - 1 : row + 2, column - 1 : column + 2] |= MaskPlane.INJECTED
        return Injected(
            exposure=replace(exposure, image=image, mask=mask),
            x=x,
            y=y,
            flux=flux,
            snr=flux / noise,
        )

    def _rng(self, exposure: Exposure) -> np.random.Generator:
        name = f"{self.seed}/{exposure.id}".encode()
        digest = hashlib.sha256(name).digest()
        return np.random.default_rng(int.from_bytes(digest[:8]))

    def _fluxes(
        self,
        exposure: Exposure,
        rng: np.random.Generator,
        noise: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        if self.scale is Scale.MAGNITUDE:
            if not exposure.photometric:
                raise InvalidExposureError(
                    f"{exposure.id} has no zero point: inject sources of a range of "
                    "snr or flux"
                )
            magnitudes = rng.uniform(self.low, self.high, noise.size)
            return np.power(10, 0.4 * (AB_NANOJANSKY - magnitudes))
        logs = rng.uniform(np.log(self.low), np.log(self.high), noise.size)
        brightness: NDArray[np.float64] = np.exp(logs)
        return brightness * noise if self.scale is Scale.SNR else brightness


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Injected:
    """An exposure with injected sources; arrays of shape (n,).

    Attributes
    ----------
    exposure : Exposure
    x, y, flux, snr : ndarray of float64
        See `Recovery`.
    """

    exposure: Exposure
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    flux: NDArray[np.float64]
    snr: NDArray[np.float64]

    def recovered(self, products: Products) -> Recovery:
        """Return what the comparison of the exposure has found of its sources."""
        difference, sources = products.images.difference, products.sources
        height, width = difference.shape
        radius = _MATCH * fwhm(difference.psf.centred_at(width / 2, height / 2))
        distance = np.hypot(
            self.x[:, np.newaxis] - sources["x"], self.y[:, np.newaxis] - sources["y"]
        )
        forced = forced_flux(difference, self.x, self.y, exclude=UNUSABLE)
        # Back to the scale of the image that they were injected into.
        to_science = (
            difference.kernel_sum
            if difference.flux_scale is FluxScale.TEMPLATE
            else 1.0
        )
        return Recovery(
            x=self.x,
            y=self.y,
            flux=self.flux,
            snr=self.snr,
            is_found=(distance < radius).any(axis=1),
            forced_flux=to_science * forced.flux,
            forced_flux_error=to_science * forced.flux_error,
        )


def _noise(
    exposure: Exposure, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the root of the noise power of the pixels at positions."""
    columns, rows = nearest_pixels(x, y)
    power = exposure.variance * np.float32(exposure.covariance_factor)
    noise: NDArray[np.float64] = np.sqrt(power[rows, columns].astype(float))
    return noise


def _add(
    image: NDArray[np.float32], stamp: NDArray[np.float64], column: int, row: int
) -> None:
    """Add a stamp with its middle on a pixel, in place; what is outside is lost."""
    ky, kx = stamp.shape
    top, left = row - ky // 2, column - kx // 2
    rows = slice(max(top, 0), min(top + ky, image.shape[0]))
    columns = slice(max(left, 0), min(left + kx, image.shape[1]))
    image[rows, columns] += stamp[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ].astype(np.float32)
