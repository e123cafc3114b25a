"""Decorrelators: from the correlated noise of a difference to white noise."""

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from streamdiff.errors import PluginContractError
from streamdiff.imaging.convolve import convolve_field
from streamdiff.imaging.field_image import field_image
from streamdiff.imaging.interpolate import fill_unusable
from streamdiff.imaging.significance import significance
from streamdiff.model import (
    UNUSABLE,
    Convolved,
    Difference,
    Exposure,
    MaskPlane,
    MatchingKernel,
    Noise,
)
from streamdiff_decorrelation.convolve_psf import convolve_psf
from streamdiff_decorrelation.noise_parts import NoiseParts
from streamdiff_decorrelation.propagate import VariancePlane, propagate
from streamdiff_decorrelation.whitening import Whitening

_FILLED = UNUSABLE | MaskPlane.SAT_TEMPLATE


@dataclass(frozen=True, slots=True, kw_only=True)
class NoDecorrelator:
    """No whitening: the noise of a difference stays as it is."""

    def decorrelate(
        self,
        difference: Difference,
        science: Exposure,  # noqa: ARG002
        template: Exposure,  # noqa: ARG002
    ) -> Difference:
        """Return the difference unchanged."""
        return difference


@dataclass(frozen=True, slots=True, kw_only=True)
class WhiteningDecorrelator:
    """Whitening of the noise after DMTN-021, Reiss & Lupton 2016.

    Attributes
    ----------
    spatially_varying : bool
        Follow the noise of the two exposures over the image, as the matching
        kernel is in any case; otherwise their ratio is that of the whole image.
    cell : int
        Side of the cells [pixel] whose blank sky tells the noise there.
    variance : VariancePlane
        How the variance is made.
    score : bool
        Make the significance of point sources, too: after pre-convolution, the
        likelihood image over its standard deviation. The source finder, which makes
        the same otherwise, then leaves out its own corrections for the background
        and for excess noise.
    """

    spatially_varying: bool = True
    cell: Annotated[int, Ge(32)] = 256
    variance: VariancePlane = VariancePlane.PROPAGATED
    score: bool = False

    def decorrelate(
        self, difference: Difference, science: Exposure, template: Exposure
    ) -> Difference:
        """Return the difference with white noise, its PSF updated.

        Raises
        ------
        PluginContractError
            If correlated noise comes without the kernels that correlated it.
        SubtractionError
            If no pixel of the exposures has a positive variance.

        Notes
        -----
        Pixels that can not be used are interpolated first, and keep their flags.

        Where both images were convolved, the difference is made anew from the
        exposures, see `whitening`, and has the mask of the given one.

        Noise that a warp has correlated counts with its power at frequency 0. The
        matching kernel removes the high frequencies, where a warped image has
        less; what is left is the covariance of the image that was not convolved,
        so its covariance factor is that of the result.
        """
        if difference.noise is Noise.WHITE:
            return difference
        parts = NoiseParts.of(difference, science, template)
        whitening = Whitening(
            matching_kernel=_checked_kernel(difference),
            noise_ratio=parts.ratio(self._cells(difference.shape)),
            fixed_kernel=difference.science_kernel,
        )
        no_data = MaskPlane.NO_DATA.in_mask(difference.mask)
        no_data |= ~np.isfinite(difference.image)
        variance = propagate(parts.fixed.power, whitening.fixed, self.variance)
        variance += propagate(parts.matched.power, whitening.matched, self.variance)
        covariance_factor = parts.fixed.exposure.covariance_factor
        variance /= covariance_factor
        # Last, so that it takes no memory while the variances take most.
        image = _whitened(difference, parts, whitening)
        mask = difference.mask.copy()
        np.bitwise_or(mask, MaskPlane.NO_DATA, out=mask, where=no_data)
        np.copyto(image, 0, where=no_data)
        np.copyto(variance, np.inf, where=no_data)
        psf = science.psf if difference.science_kernel is not None else difference.psf
        white = replace(
            difference,
            image=image,
            variance=variance,
            mask=mask,
            psf=convolve_psf(psf, whitening.fixed.field, difference.shape),
            noise=Noise.WHITE,
            covariance_factor=covariance_factor,
            score=None,
            metrics={**difference.metrics, **whitening.noise_ratio.metrics},
        )
        if not self.score:
            return white
        score = significance(white, exclude=_FILLED)
        np.copyto(score, 0, where=no_data)
        return replace(white, score=score)

    def _cells(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Return the number of cells along y and x."""
        if not self.spatially_varying:
            return 1, 1
        rows, columns = (max(1, round(n / self.cell)) for n in shape)
        return rows, columns


def _whitened(
    difference: Difference, parts: NoiseParts, whitening: Whitening
) -> NDArray[np.float32]:
    """Return the white image; shape (ny, nx)."""
    if difference.convolved is not Convolved.BOTH:
        filled = fill_unusable(difference.image, _FILLED.in_mask(difference.mask))
        return convolve_field(filled, whitening.fixed.field, border="mirror")
    image = convolve_field(parts.fixed.image, whitening.fixed.field, border="mirror")
    image -= convolve_field(
        parts.matched.image, whitening.matched.field, border="mirror"
    )
    if difference.background is not None:
        image -= field_image(difference.background, difference.shape)
    return image


def _checked_kernel(difference: Difference) -> MatchingKernel:
    """Return the matching kernel of a difference that says what was convolved.

    Raises
    ------
    PluginContractError
        If it does not.
    """
    kernel, own = difference.matching_kernel, difference.science_kernel
    both = difference.convolved is Convolved.BOTH
    advice = 'set [pipeline] decorrelate to "none", or another subtractor'
    if kernel is None:
        raise PluginContractError(
            f"difference of {difference.id}: its noise is correlated, but the "
            f"subtractor gave no matching kernel: {advice}"
        )
    if difference.convolved is Convolved.NONE or both != (own is not None):
        given = "none" if own is None else "one"
        raise PluginContractError(
            f"difference of {difference.id}: convolved is {difference.convolved!s}, "
            f"with a matching kernel and {given} for science_kernel, which goes with "
            f"both alone: {advice}"
        )
    return kernel
