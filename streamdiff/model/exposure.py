"""One calibrated detector image."""

from dataclasses import dataclass, field, replace

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from streamdiff.errors import InvalidExposureError
from streamdiff.model.ids import ExposureId, TemplateId
from streamdiff.model.mask import MaskPlane
from streamdiff.model.planes import freeze_planes, read_only
from streamdiff.model.psf import Psf, UnknownPsf
from streamdiff.model.star_list import StarList


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exposure:
    """One image of the sky with its noise, mask and PSF.

    Pixel ``[0, 0]`` is the centre of the first pixel. The planes are kept as
    read-only views: a stage may share a plane but can not edit it.

    Attributes
    ----------
    id : ExposureId or TemplateId
        The detector image, or the template, that this is.
    image : ndarray of float32, shape (ny, nx)
        Background-subtracted flux [nJy], or in the units of the file where
        ``photometric`` is False. Not finite where there is no data.
    variance : ndarray of float32, shape (ny, nx)
        Variance of ``image`` [nJy**2]; covariance between pixels is not kept.
    mask : ndarray of int32, shape (ny, nx)
        Bitwise OR of `MaskPlane` bits.
    psf : Psf
        `UnknownPsf` until it has been estimated.
    wcs : astropy.wcs.WCS
        Celestial coordinates of the pixels.
    midpoint_mjd_tai : float
        Time of mid-exposure [MJD, TAI]; NaN for a template.
    exposure_time_s : float
    photometric : bool
        Whether fluxes are in nJy.
    covariance_factor : float or ndarray of float32, shape (ny, nx)
        Noise power at zero frequency over the variance of a pixel: 1 for white
        noise, above 1 after a warp.
    stars : StarList or None
        Stars of a catalogue, on these pixels; `None` where none came along.

    Raises
    ------
    InvalidExposureError
        If shapes differ, the WCS is not celestial, or the covariance factor is
        not positive.
    """

    id: ExposureId | TemplateId
    image: NDArray[np.float32]
    variance: NDArray[np.float32]
    mask: NDArray[np.int32]
    wcs: WCS
    psf: Psf = field(default_factory=UnknownPsf)
    midpoint_mjd_tai: float = np.nan
    exposure_time_s: float = np.nan
    photometric: bool = True
    covariance_factor: float | NDArray[np.float32] = 1.0
    stars: StarList | None = None

    def __post_init__(self) -> None:
        try:
            shape = freeze_planes(self, float32=("image", "variance"), int32=("mask",))
        except ValueError as err:
            raise InvalidExposureError(f"{self.id}: {err}") from err
        if not (self.wcs.has_celestial and self.wcs.naxis == 2):
            raise InvalidExposureError(f"{self.id}: the WCS is not celestial")
        if isinstance(self.covariance_factor, float) and self.covariance_factor > 0:
            return
        factor = np.asarray(self.covariance_factor, np.float32)
        # The least value is not greater than 0, either, where one is NaN.
        if factor.shape not in {(), shape} or (factor.size and not factor.min() > 0):
            raise InvalidExposureError(
                f"{self.id}: covariance_factor must be positive, and a number or a map "
                f"of shape {shape}"
            )
        if factor.ndim:
            object.__setattr__(self, "covariance_factor", read_only(factor))

    @property
    def exposure_id(self) -> ExposureId:
        """Return the identity of a science exposure.

        Raises
        ------
        InvalidExposureError
            If this is a template.
        """
        if not isinstance(self.id, ExposureId):
            raise InvalidExposureError(
                f"{self.id} is a template: a science exposure is needed here"
            )
        return self.id

    @property
    def shape(self) -> tuple[int, int]:
        """Return (ny, nx)."""
        ny, nx = self.image.shape
        return ny, nx

    def usable(self, bad: MaskPlane) -> NDArray[np.bool_]:
        """Return True where no plane in ``bad`` is set; shape (ny, nx)."""
        return ~bad.in_mask(self.mask)

    def with_psf(self, psf: Psf) -> "Exposure":
        """Return the same exposure with another PSF."""
        return replace(self, psf=psf)
