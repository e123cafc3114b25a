"""The exposures and differences that plugins are checked on: small and few."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.convolve import convolve_matching
from streamdiff.model import (
    DETECTION_COLUMNS,
    Convolved,
    DiaSources,
    Difference,
    Exposure,
    FluxScale,
    MaskPlane,
    MatchingKernel,
    Noise,
)
from streamdiff.stages import Images
from streamdiff.testing.artifacts import BadColumns, NoData
from streamdiff.testing.contract.remember import remembered
from streamdiff.testing.profiles import GaussianProfile
from streamdiff.testing.scene import Scene
from streamdiff.testing.sources import PointSource

Shape = tuple[int, int]
Pair = tuple[Exposure, Exposure]

STANDARD: Shape = (160, 160)
# Sides that no block, tile or transform divides.
SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "standard": STANDARD,
        "odd sides": (151, 203),
        "tiny": (9, 13),
        "one pixel": (1, 1),
    }
)
FWHM, SHARP_FWHM = 3.6, 2.8
NOISE, TEMPLATE_NOISE = 10.0, 5.0
FLUXES = (2e3, 6e4)


@remembered
def field(shape: Shape = STANDARD, density: float = 3000.0) -> Scene:
    """Return a field of stars, all of them well above the noise."""
    return Scene.star_field(
        shape=shape, density_per_mpx=density, seed=5, flux_range=FLUXES
    )


@remembered
def pair(shape: Shape = STANDARD, template_fwhm: float = SHARP_FWHM) -> Pair:
    """Return a science exposure and its template; the science seeing is `FWHM`."""
    sky = field(shape)
    return (
        sky.observe(fwhm=FWHM, noise=NOISE, seed=1, visit=7),
        sky.observe(fwhm=template_fwhm, noise=TEMPLATE_NOISE, seed=2, visit=3),
    )


@remembered
def spoilt() -> Pair:
    """Return a pair with a block without data, NaN, and a bad column."""
    height, width = STANDARD
    artifacts = (NoData(x=(30, 55), y=(60, 70)), BadColumns(columns=(100,)))
    sky = field()
    science = sky.observe(fwhm=FWHM, noise=NOISE, seed=1, visit=7, artifacts=artifacts)
    border = (NoData(x=(width - 20, width), y=(0, height)),)
    template = sky.observe(
        fwhm=SHARP_FWHM, noise=TEMPLATE_NOISE, seed=2, visit=3, artifacts=border
    )
    return without_data(science), without_data(template)


def without_data(exposure: Exposure) -> Exposure:
    """Return an exposure with infinite variance where it has no data."""
    no_data = MaskPlane.NO_DATA.in_mask(exposure.mask)
    variance = np.where(no_data, np.float32(np.inf), exposure.variance)
    return replace(exposure, variance=variance)


@remembered
def masked() -> Pair:
    """Return a pair without a single pixel of data."""
    return blank(pair()[0]), blank(pair()[1])


def blank(exposure: Exposure) -> Exposure:
    """Return an exposure without any data."""
    return replace(
        exposure,
        image=np.full(exposure.shape, np.nan, np.float32),
        variance=np.full(exposure.shape, np.inf, np.float32),
        mask=np.full(exposure.shape, MaskPlane.NO_DATA, np.int32),
    )


def exposures() -> dict[str, Pair]:
    """Return pairs of exposures by what is special about them."""
    return {
        **{name: pair(shape) for name, shape in SHAPES.items()},
        "without data here and there": spoilt(),
        "without any data": masked(),
    }


def scaled(exposure: Exposure, factor: float) -> Exposure:
    """Return an exposure in another unit of flux."""
    return replace(
        exposure,
        image=exposure.image * np.float32(factor),
        variance=exposure.variance * np.float32(factor**2),
    )


def of_white_noise(
    shape: Shape, *, seed: int = 3, sources: tuple[PointSource, ...] = ()
) -> Difference:
    """Return a white difference: noise, and sources that appeared or vanished."""
    scene = Scene(sources=sources, shape=shape)
    science = scene.observe(fwhm=FWHM, noise=NOISE, seed=seed, visit=7)
    return difference_of(science)


def difference_of(science: Exposure) -> Difference:
    """Return an exposure as the difference to an empty sky."""
    no_data = MaskPlane.NO_DATA.in_mask(science.mask)
    return Difference(
        id=science.exposure_id,
        image=np.where(no_data, np.float32(0), science.image),
        variance=np.where(no_data, np.float32(np.inf), science.variance),
        mask=science.mask,
        psf=science.psf,
        wcs=science.wcs,
        flux_scale=FluxScale.TEMPLATE,
        kernel_sum=1.0,
        convolved=Convolved.NONE,
        noise=Noise.WHITE,
    )


def convolved(science: Exposure, template: Exposure) -> Difference:
    """Return a difference whose template was convolved with the true kernel.

    Both exposures have Gaussian PSFs, of `FWHM` and `SHARP_FWHM`: so is the kernel.
    """
    stamp = GaussianProfile(fwhm=float(np.sqrt(FWHM**2 - SHARP_FWHM**2))).stamp(size=21)
    kernel = MatchingKernel(
        basis=(stamp / stamp.sum())[np.newaxis],
        coefficients=np.ones((1, 1)),
        image_shape=science.shape,
    )
    power = np.float32(np.square(kernel.at(0, 0)).sum())
    mask = science.mask | template.mask
    no_data = MaskPlane.NO_DATA.in_mask(mask)
    light = np.nan_to_num(template.image)
    image = np.nan_to_num(science.image) - convolve_matching(light, kernel)
    variance = science.variance + power * template.variance
    return Difference(
        id=science.exposure_id,
        image=np.where(no_data, np.float32(0), image),
        variance=np.where(no_data, np.float32(np.inf), variance),
        mask=mask,
        psf=science.psf,
        wcs=science.wcs,
        flux_scale=FluxScale.TEMPLATE,
        kernel_sum=1.0,
        convolved=Convolved.TEMPLATE,
        noise=Noise.CORRELATED,
        matching_kernel=kernel,
        matched_template=light,
    )


def images_of(pair_of: Pair) -> Images:
    """Return what measurements are made on, for a pair of equal noise and seeing."""
    science, template = pair_of
    mask = science.mask | template.mask
    no_data = MaskPlane.NO_DATA.in_mask(mask)
    image = np.where(no_data, np.float32(0), science.image - template.image)
    variance = np.where(
        no_data, np.float32(np.inf), science.variance + template.variance
    )
    difference = replace(
        difference_of(science), image=image, variance=variance, mask=mask
    )
    return Images(difference=difference, science=science, template=template)


def sources_at(
    x: NDArray[np.float64], y: NDArray[np.float64], *, negative: bool = False
) -> DiaSources:
    """Return a table as a source finder gives it, of peaks on whole pixels."""
    n = len(x)
    values = {
        "x": np.rint(x),
        "y": np.rint(y),
        "snr": np.full(n, 6.0),
        "isNegative": np.full(n, negative),
        "bboxSize": np.full(n, 9),
        "footprintArea": np.full(n, 60),
    }
    return DiaSources(DETECTION_COLUMNS, values)


def grid(shape: Shape, step: int, edge: int) -> tuple[NDArray[np.float64], ...]:
    """Return places on a grid that keeps away from the border, x and y."""
    y, x = np.mgrid[edge : shape[0] - edge : step, edge : shape[1] - edge : step]
    return x.ravel().astype(float), y.ravel().astype(float)
