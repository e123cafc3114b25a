"""The contract of warpers."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import Exposure, MaskPlane
from streamdiff.testing.contract import skies
from streamdiff.testing.contract.check import Arguments, Subject, checks_of, require
from streamdiff.testing.contract.kind import Kind
from streamdiff.testing.contract.planes import (
    require_planes,
    require_psf,
    require_shape,
    require_type,
)
from streamdiff.testing.scene import Scene
from streamdiff.testing.sources import PointSource

_READ = "streamdiff.stages.Warper"
_EXPOSURE = "streamdiff.model.Exposure"
_SHAPE = (256, 256)
_FLUX = 1e6


def validate(subject: Subject, arguments: Arguments, result: object) -> None:  # noqa: ARG001
    """Raise unless a result is the exposure on the pixels that were asked for."""
    exposure, wcs, shape = arguments
    require_type(result, Exposure, _READ)
    assert isinstance(result, Exposure)  # noqa: S101 - for the type checker
    require_shape(result.shape, shape, _READ)
    require(
        result.id == exposure.id and result.photometric == exposure.photometric,
        expected="identity and unit of the exposure",
        got=f"{result.id}, photometric {result.photometric}",
        read=_EXPOSURE,
    )
    require(
        np.allclose(result.wcs.wcs.crpix, wcs.wcs.crpix),
        expected="the WCS that was asked for",
        got="another one",
        read=f"{_EXPOSURE}.wcs",
    )
    if result is not exposure:
        require_planes(result, _READ)
    require_psf(result.psf, shape, f"{_EXPOSURE}.psf")


def a_star_keeps_its_flux_and_place(subject: Subject) -> Mapping[str, float]:
    """Require the flux, to 0.5 %, where the other WCS has the star."""
    sky = Scene(sources=(PointSource(120.2, 131.7, _FLUX),), shape=_SHAPE)
    exposure = sky.observe(fwhm=4.0, noise=1e-3)
    wcs = sky.dithered_wcs(rotation_deg=2, dx=0.5, dy=-3.3)
    warped = KIND.result(subject, (exposure, wcs, _SHAPE))
    (x,), (y,) = sky.positions(sky.sources, wcs)
    rows, columns = np.indices(_SHAPE)
    near = np.hypot(rows - y, columns - x) < 20
    light = np.where(near, warped.image, 0).astype(float)
    flux = light.sum()
    off = np.hypot((light * columns).sum() / flux - x, (light * rows).sum() / flux - y)
    require(
        abs(flux / _FLUX - 1) < 0.005,
        expected="the flux of the star, to 0.5 %",
        got=f"{flux / _FLUX - 1:+.2%}",
        read=_READ,
    )
    require(
        off < 0.05,
        expected="the star within 0.05 pixels of where the WCS has it",
        got=f"{off:.2f} pixels beside",
        read=_READ,
    )
    return {"flux_bias": float(flux / _FLUX - 1), "offset_pixel": float(off)}


def the_noise_of_large_areas_is_known(subject: Subject) -> Mapping[str, float]:
    """Require variance times covariance factor to predict the noise of sums.

    Notes
    -----
    169 squares of 16 x 16 pixels know a variance to 11 %; without the factor a
    shift by half a pixel is off by some 30 % or more.
    """
    sky = Scene(shape=_SHAPE)
    exposure = sky.observe(noise=skies.NOISE, seed=4)
    wcs = sky.dithered_wcs(dx=0.5, dy=0.5)
    warped = KIND.result(subject, (exposure, wcs, _SHAPE))
    inner = slice(16, -32)
    power = np.broadcast_to(warped.variance * warped.covariance_factor, _SHAPE)
    image, power = (_squares(p[inner, inner]) for p in (warped.image, power))
    ratio = float(np.mean(np.square(image) / power))
    require(
        0.6 < ratio < 1.5,
        expected="variance x covariance_factor to predict the noise of large sums",
        got=f"{ratio:.2f} times as much",
        read=f"{_EXPOSURE}.covariance_factor",
    )
    return {"large_scale_noise_ratio": ratio}


def pixels_beyond_the_exposure_have_no_data(subject: Subject) -> None:
    """Require NO_DATA where the exposure does not reach."""
    sky = skies.field()
    wcs = sky.dithered_wcs(dx=60.0)
    warped = KIND.result(subject, (skies.pair()[0], wcs, skies.STANDARD))
    blank = MaskPlane.NO_DATA.in_mask(warped.mask)
    require(
        blank[:, :55].all() and not blank[20:-20, 75:].any(),
        expected="NO_DATA exactly where the exposure does not reach",
        got=f"{blank[:, :55].mean():.0%} of what is beyond, "
        f"{blank[20:-20, 75:].mean():.0%} of what is not",
        read=_READ,
    )


def sums_of_images_warp_to_sums_of_warps(subject: Subject) -> None:
    """Require linearity: no pixel may be judged by its value."""
    sky = skies.field()
    wcs = sky.dithered_wcs(dx=0.3, dy=0.6)
    exposure, _ = skies.pair()
    once = KIND.result(subject, (exposure, wcs, skies.STANDARD))
    twice = KIND.result(subject, (skies.scaled(exposure, 2), wcs, skies.STANDARD))
    error = np.abs(twice.image - 2 * once.image).max() / np.abs(once.image).max()
    require(
        error < 1e-4,
        expected="twice the image from twice the light",
        got=f"pixels that are off by {error:.1e} of the brightest",
        read=_READ,
    )


def _squares(plane: NDArray[np.float32]) -> NDArray[np.float64]:
    side = 16
    rows, columns = (n // side for n in plane.shape)
    cut = plane[: rows * side, : columns * side].astype(float)
    sums: NDArray[np.float64] = cut.reshape(rows, side, columns, side).sum(axis=(1, 3))
    return sums


def _cases() -> dict[str, Arguments]:
    exposures = {name: p[0] for name, p in skies.exposures().items()}
    sky = skies.field()
    turned = sky.dithered_wcs(rotation_deg=10, dx=0.4, dy=-7)
    cases: dict[str, Arguments] = {
        name: (exposure, exposure.wcs, exposure.shape)
        for name, exposure in exposures.items()
    }
    standard = exposures["standard"]
    blank = exposures["without any data"]
    return {"standard": (standard, turned, (140, 171))} | {
        **{f"onto its own pixels, {name}": case for name, case in cases.items()},
        "onto pixels far away": (standard, sky.dithered_wcs(dx=9999), (50, 60)),
        "onto one pixel": (standard, turned, (1, 1)),
        "without data, and turned": (blank, turned, (70, 81)),
        "with holes, and turned": (skies.spoilt()[0], turned, (160, 160)),
    }


KIND = Kind(
    name="warp",
    method="warp",
    read=_READ,
    cases=_cases,
    validate=validate,
    checks=checks_of(
        a_star_keeps_its_flux_and_place,
        the_noise_of_large_areas_is_known,
        pixels_beyond_the_exposure_have_no_data,
        sums_of_images_warp_to_sums_of_warps,
    ),
)
