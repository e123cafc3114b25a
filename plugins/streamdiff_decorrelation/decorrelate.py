"""Decorrelators: from the correlated noise of a difference to white noise."""

from dataclasses import dataclass, replace

import numpy as np

from streamdiff.errors import PluginContractError
from streamdiff.imaging.interpolate import fill_unusable
from streamdiff.model import (
    UNUSABLE,
    Difference,
    Exposure,
    MaskPlane,
    Noise,
)
from streamdiff_decorrelation.convolve_psf import convolve_psf
from streamdiff_decorrelation.noise_parts import NoiseParts
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

    The filter follows the matching kernel over the image; the ratio of the noise
    of the two exposures is one number per image.
    """

    def decorrelate(
        self, difference: Difference, science: Exposure, template: Exposure
    ) -> Difference:
        """Return the difference with white noise, its PSF updated.

        Raises
        ------
        PluginContractError
            If correlated noise comes without the kernel that correlated it.
        SubtractionError
            If no pixel of the exposures has a positive variance.

        Notes
        -----
        Pixels that can not be used are interpolated first, and keep their flags.
        The variance is propagated from those of the exposures with the squares of
        the filters that they went through: the photon noise of a star stays where
        the star is.

        Noise that a warp has correlated counts with its power at frequency 0. The
        matching kernel removes the high frequencies, where a warped image has
        less; what is left is the covariance of the image that was not convolved,
        so its covariance factor is that of the result.
        """
        if difference.noise is Noise.WHITE:
            return difference
        if difference.matching_kernel is None:
            raise PluginContractError(
                f"difference of {difference.id}: its noise is correlated, but the "
                "subtractor gave no matching kernel: set [pipeline] decorrelate to "
                '"none", or another subtractor'
            )
        parts = NoiseParts.of(difference, science, template)
        whitening = Whitening(
            matching_kernel=difference.matching_kernel, noise_ratio=parts.ratio
        )
        psi, psi_kappa = whitening.filter, whitening.matched_filter

        filled = _FILLED.in_mask(difference.mask)
        no_data = MaskPlane.NO_DATA.in_mask(difference.mask)
        no_data |= ~np.isfinite(difference.image)
        image = psi.convolve(fill_unusable(difference.image, filled))
        power = psi.convolve(parts.unconvolved, power=2)
        power += psi_kappa.convolve(parts.convolved, power=2)
        return replace(
            difference,
            image=np.where(no_data, np.float32(0), image),
            variance=np.where(no_data, np.inf, power / parts.covariance_factor),
            mask=difference.mask | np.where(no_data, MaskPlane.NO_DATA, 0),
            psf=convolve_psf(difference.psf, psi, difference.shape),
            noise=Noise.WHITE,
            covariance_factor=parts.covariance_factor,
            score=None,
            metrics={**difference.metrics, "decorrelation_noise_ratio": parts.ratio},
        )
