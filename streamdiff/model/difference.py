"""What is left of a science image without its template."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from streamdiff.errors import InvalidExposureError
from streamdiff.model.field import field_order
from streamdiff.model.ids import ExposureId
from streamdiff.model.kernel import MatchingKernel
from streamdiff.model.kernel_candidates import KernelCandidates
from streamdiff.model.planes import freeze_planes, read_only
from streamdiff.model.psf import Psf


class FluxScale(StrEnum):
    """Whose photometric scale a difference is on."""

    TEMPLATE = "template"
    SCIENCE = "science"


class Convolved(StrEnum):
    """Which image was convolved to match the PSFs."""

    TEMPLATE = "template"
    SCIENCE = "science"
    BOTH = "both"
    NONE = "none"


class Noise(StrEnum):
    """Whether the noise of neighbouring pixels is independent."""

    WHITE = "white"
    CORRELATED = "correlated"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Difference:
    """Science minus matched template, on the pixels of the science image.

    Attributes
    ----------
    id : ExposureId
        The science exposure.
    image : ndarray of float32, shape (ny, nx)
        Change of flux [nJy, or the unit of the scale]; 0 where NO_DATA is set.
    variance : ndarray of float32, shape (ny, nx)
        Variance of ``image``; infinite where NO_DATA is set.
    mask : ndarray of int32, shape (ny, nx)
        Bitwise OR of `MaskPlane` bits.
    psf : Psf
        PSF of a change in ``image``.
    wcs : astropy.wcs.WCS
    flux_scale : FluxScale
    kernel_sum : float
        Flux of a constant star in the science image over that in the template.
    convolved : Convolved
    noise : Noise
    covariance_factor : float or ndarray of float32, shape (ny, nx)
        Noise power at zero frequency over the variance of a pixel. For the
        noise that convolution correlated, and `decorrelate` whitens, it counts
        what correlated the inputs before.
    matching_kernel : MatchingKernel or None
        Kernel of the convolved image, where there is one; of the template, where
        both were convolved.
    science_kernel : ndarray of float64, shape (ky, kx), or None
        Kernel of the science image where both were convolved: odd sides, sum 1.
    background : ndarray of float64, shape (n_terms,), or None
        Differential background that was subtracted [unit of ``image``]:
        coefficients of the terms of `streamdiff.model.field.field_terms`. Where both
        images were convolved, ``image`` is science_kernel * science - matching_kernel
        * template - background on the scale of the science image.
    score : ndarray of float32, shape (ny, nx), or None
        Significance [sigma] of a point source centred on each pixel; 0 where
        NO_DATA is set. `None`: the source finder makes it.
    template_score : ndarray of float32, shape (ny, nx), or None
        Significance of what was subtracted, in the units of ``score`` and only with
        it: it tells where the stars are.
    matched_template : ndarray of float32, shape (ny, nx), or None
        What was subtracted, on the scale of ``image``.
    kernel_candidates : KernelCandidates or None
        The stars that ``matching_kernel`` was fitted to, where it was.
    photometric : bool
        Whether fluxes are in nJy.
    metrics : mapping of str to float
        Figures of merit of the subtraction.

    Raises
    ------
    InvalidExposureError
        If planes differ in shape, the kernel sum is not positive, or no polynomial
        has as many terms as the background.
    """

    id: ExposureId
    image: NDArray[np.float32]
    variance: NDArray[np.float32]
    mask: NDArray[np.int32]
    psf: Psf
    wcs: WCS
    flux_scale: FluxScale
    kernel_sum: float
    convolved: Convolved
    noise: Noise
    covariance_factor: float | NDArray[np.float32] = 1.0
    matching_kernel: MatchingKernel | None = None
    science_kernel: NDArray[np.float64] | None = None
    background: NDArray[np.float64] | None = None
    score: NDArray[np.float32] | None = None
    template_score: NDArray[np.float32] | None = None
    matched_template: NDArray[np.float32] | None = None
    kernel_candidates: KernelCandidates | None = None
    photometric: bool = True
    metrics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            freeze_planes(
                self,
                float32=(
                    "image",
                    "variance",
                    "score",
                    "template_score",
                    "matched_template",
                ),
                int32=("mask",),
            )
            if self.background is not None:
                field_order(len(self.background))
        except ValueError as err:
            raise InvalidExposureError(f"difference of {self.id}: {err}") from err
        for name in ("science_kernel", "background"):
            if (values := getattr(self, name)) is not None:
                object.__setattr__(self, name, read_only(np.asarray(values, float)))
        if not (np.isfinite(self.kernel_sum) and self.kernel_sum > 0):
            raise InvalidExposureError(
                f"difference of {self.id}: kernel_sum must be positive, "
                f"got {self.kernel_sum}"
            )

    def on_scale(self, flux_scale: FluxScale) -> "Difference":
        """Return the same difference on the photometric scale of another image."""
        if flux_scale is self.flux_scale:
            return self
        to_template = 1 / self.kernel_sum
        factor = to_template if flux_scale is FluxScale.TEMPLATE else self.kernel_sum
        template, background = self.matched_template, self.background
        return replace(
            self,
            flux_scale=flux_scale,
            image=self.image * np.float32(factor),
            variance=self.variance * np.float32(factor**2),
            matched_template=None
            if template is None
            else template * np.float32(factor),
            background=None if background is None else background * factor,
        )

    @property
    def science_factor(self) -> float:
        """Return what takes fluxes of the science image to the scale of this one."""
        return 1.0 if self.flux_scale is FluxScale.SCIENCE else 1 / self.kernel_sum

    @property
    def shape(self) -> tuple[int, int]:
        """Return (ny, nx)."""
        ny, nx = self.image.shape
        return ny, nx
