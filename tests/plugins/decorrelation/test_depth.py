"""Depth of decorrelated differences, in scenes of every kind."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import fft

from streamdiff.imaging.convolve import convolve_matching
from streamdiff.model import Convolved, Difference, FluxScale, MatchingKernel, Noise
from streamdiff.testing import GaussianProfile, MoffatProfile, Scene, ideal_flux_error
from streamdiff_decorrelation import WhiteningDecorrelator

SHAPE, GRID, SIDE = (192, 192), 128, 35


@dataclass(frozen=True)
class Sky:
    """A pair of exposures of one sky; the sharper one is to be convolved.

    Attributes
    ----------
    science, template : Profile
    science_noise, template_noise : float
    flux_ratio : float
        Flux of a star in the science image over that in the template.
    """

    science: object
    template: object
    science_noise: float = 10.0
    template_noise: float = 10.0
    flux_ratio: float = 1.0
    convolved: Convolved = Convolved.TEMPLATE

    def stamps(self):
        stamps = (p.stamp(size=41) for p in (self.science, self.template))
        return [s / s.sum() for s in stamps]

    def kernel(self):
        """Return the kernel that matches the one PSF to the other."""
        target, source = (fft.fft2(s, s=(GRID, GRID)) for s in self.stamps())
        total = self.flux_ratio
        if self.convolved is Convolved.SCIENCE:
            target, source, total = source, target, 1 / total
        seen = np.abs(source) > 1e-7
        stamp = fft.fftshift(
            fft.ifft2(np.where(seen, target / np.where(seen, source, 1), 0)).real
        )
        cut = np.s_[GRID // 2 - SIDE // 2 : GRID // 2 + SIDE // 2 + 1]
        stamp = stamp[cut, cut]
        return MatchingKernel(
            basis=total * (stamp / stamp.sum())[np.newaxis],
            coefficients=np.ones((1, 1)),
            image_shape=SHAPE,
        )

    def whiten(self):
        empty, kernel = Scene(shape=SHAPE), self.kernel()
        science, template = (
            empty.observe(profile=profile, noise=noise, seed=seed)
            for seed, (profile, noise) in enumerate(
                (
                    (self.science, self.science_noise),
                    (self.template, self.template_noise),
                )
            )
        )
        if self.convolved is Convolved.TEMPLATE:
            image = science.image - convolve_matching(template.image, kernel)
            scale, psf = FluxScale.SCIENCE, science.psf
        else:
            image = convolve_matching(science.image, kernel) - template.image
            scale, psf = FluxScale.TEMPLATE, template.psf
        difference = Difference(
            id=science.id,
            image=image,
            variance=science.variance,
            mask=science.mask,
            psf=psf,
            wcs=science.wcs,
            flux_scale=scale,
            kernel_sum=self.flux_ratio,
            convolved=self.convolved,
            noise=Noise.CORRELATED,
            matching_kernel=kernel,
        ).on_scale(FluxScale.TEMPLATE)
        return WhiteningDecorrelator().decorrelate(difference, science, template)


WIDE, SHARP = GaussianProfile(fwhm=4.0), GaussianProfile(fwhm=3.0)
LONG = GaussianProfile(fwhm=4.5, ellipticity=0.25, angle=30)
MOFFAT = MoffatProfile(fwhm=4.2, beta=3.5)
REVERSED = {"convolved": Convolved.SCIENCE}
SKIES = {
    "equal": Sky(WIDE, SHARP),
    "equal_reversed": Sky(SHARP, WIDE, **REVERSED),
    "deeper": Sky(WIDE, SHARP, template_noise=2.5),
    "deeper_reversed": Sky(SHARP, WIDE, template_noise=2.5, **REVERSED),
    "shallower": Sky(WIDE, SHARP, template_noise=30.0),
    "elongated": Sky(LONG, SHARP),
    "elongated_reversed": Sky(SHARP, LONG, **REVERSED),
    "fainter": Sky(WIDE, SHARP, flux_ratio=0.8),
    "fainter_reversed": Sky(SHARP, WIDE, flux_ratio=0.8, **REVERSED),
    "wings": Sky(MOFFAT, SHARP, template_noise=5.0),
}


@pytest.mark.parametrize("sky", SKIES.values(), ids=SKIES.keys())
def test_depth_is_that_of_the_ideal_filter(sky):
    difference = sky.whiten()
    psf = difference.psf.centred_at(0, 0)
    error = np.sqrt(np.median(difference.variance) / np.sum(psf**2))
    ideal = ideal_flux_error(
        *sky.stamps(),
        (sky.science_noise / sky.flux_ratio) ** 2,
        sky.template_noise**2,
    )
    assert 0.98 <= ideal / error <= 1.01
