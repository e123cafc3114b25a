"""Second moments of DiaSources, and of the PSF where they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from astropy.wcs.utils import proj_plane_pixel_area
from numpy.typing import NDArray

from streamdiff.imaging.moments import adaptive_moments
from streamdiff.imaging.stamps import batches, centred_psf_stamps
from streamdiff.model import Column, DiaSources, Difference, MaskPlane
from streamdiff.model.psf import FWHM_PER_SIGMA, fwhm
from streamdiff.stages import Images
from streamdiff_measurement.good_pixels import GoodPixels

_NAMES = ("ixx", "iyy", "ixy")
_COLUMNS = (
    *(
        Column(n, "f4", "arcsec2", f"Adaptive moment {n[1:]} along x, y")
        for n in _NAMES
    ),
    *(
        Column(f"{n}PSF", "f4", "arcsec2", f"Adaptive moment {n[1:]} of the PSF")
        for n in _NAMES
    ),
    Column("shape_flag", "?", "", "Whether the moments could not be measured"),
)
_EXTENDEDNESS = Column(
    "extendedness", "f4", "", "1 - trace of the PSF's moments over the source's, >= 0"
)
_RADIUS_FWHM = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceMoments(GoodPixels):
    """Moments of the best-fitting Gaussian on the difference.

    Attributes
    ----------
    exclude : tuple of str
        Mask planes whose pixels take no part.
    """

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns that `measure` fills."""
        return _COLUMNS

    def measure(
        self, sources: DiaSources, images: Images
    ) -> Mapping[str, NDArray[Any]]:
        """Return the moments along the axes of the pixels."""
        difference = images.difference
        area = proj_plane_pixel_area(difference.wcs) * 3600**2
        of_source = area * _source_moments(difference, sources, self.excluded)
        of_psf = area * _psf_moments(difference, sources["x"], sources["y"])
        return {
            **dict(zip(_NAMES, of_source, strict=True)),
            **{f"{n}PSF": m for n, m in zip(_NAMES, of_psf, strict=True)},
            "shape_flag": np.isnan(of_source[0]),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Extendedness(GoodPixels):
    """How much larger than the PSF a DiaSource is: 0 for a point, near 1 if large.

    Attributes
    ----------
    exclude : tuple of str
        Mask planes whose pixels take no part.
    """

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns that `measure` fills."""
        return (_EXTENDEDNESS,)

    def measure(
        self, sources: DiaSources, images: Images
    ) -> Mapping[str, NDArray[Any]]:
        """Return the extendedness; moments measured before are used."""
        known = sources.values
        if not all(column.name in sources for column in _COLUMNS):
            known = SourceMoments(exclude=self.exclude).measure(sources, images)
        of_source = np.asarray(known["ixx"], float) + known["iyy"]
        of_psf = np.asarray(known["ixxPSF"], float) + known["iyyPSF"]
        return {"extendedness": np.clip(1 - of_psf / of_source, 0, 1)}


def _source_moments(
    difference: Difference, sources: DiaSources, exclude: MaskPlane
) -> NDArray[np.float64]:
    """Return xx, yy and xy of sources, shape (3, n) [pixel**2]; NaN for none."""
    image, variance = difference.image, difference.variance
    unusable = exclude.in_mask(difference.mask) | ~np.isfinite(image)
    unusable |= ~(np.isfinite(variance) & (variance > 0))
    width = fwhm(_typical_psf(difference))
    moments = np.full((3, len(sources)), np.nan)
    negative = sources["isNegative"]
    for sign, rows in ((1, ~negative), (-1, negative)):
        if not rows.any():
            continue
        found = adaptive_moments(
            np.float32(sign) * image,
            variance,
            unusable,
            sources["x"][rows],
            sources["y"][rows],
            sigma=width / FWHM_PER_SIGMA,
            radius=ceil(_RADIUS_FWHM * width),
        )
        shape = np.stack([found.xx, found.yy, found.xy])
        moments[:, rows] = np.where(found.snr > 0, shape, np.nan)
    return moments


def _psf_moments(
    difference: Difference, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return xx, yy and xy of the PSF at positions, shape (3, n) [pixel**2]."""
    width = fwhm(_typical_psf(difference))
    parts = [
        _stamp_moments(centred_psf_stamps(difference.psf, x[part], y[part]), width)
        for part in batches(len(x))
    ]
    return np.concatenate(parts, axis=1)


def _stamp_moments(stamps: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Return xx, yy and xy of PSF stamps, shape (3, n) [pixel**2]."""
    n, ky, kx = stamps.shape
    if n == 0:
        return np.zeros((3, 0))
    # One below the other, stamps are an image.
    column = stamps.reshape(n * ky, kx).astype(np.float32)
    found = adaptive_moments(
        column,
        np.ones_like(column),
        np.zeros(column.shape, bool),
        np.full(n, kx // 2, float),
        ky // 2 + ky * np.arange(n, dtype=float),
        sigma=width / FWHM_PER_SIGMA,
        radius=min(ceil(_RADIUS_FWHM * width), ky // 2, kx // 2),
    )
    return np.stack([found.xx, found.yy, found.xy])


def _typical_psf(difference: Difference) -> NDArray[np.float64]:
    height, width = difference.shape
    return difference.psf.centred_at((width - 1) / 2, (height - 1) / 2)
