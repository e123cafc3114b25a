"""The contract of coadders."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.point_source import forced_flux
from streamdiff.model import NO_PLANES, Coadd, Exposure, MaskPlane, Skip, TemplateId
from streamdiff.testing.contract import skies
from streamdiff.testing.contract.check import Arguments, Subject, checks_of, require
from streamdiff.testing.contract.kind import Kind
from streamdiff.testing.contract.planes import (
    require_planes,
    require_psf,
    require_type,
)
from streamdiff.testing.contract.remember import remembered
from streamdiff.testing.profiles import GaussianProfile

_READ = "streamdiff.stages.Coadder"
_COADD = "streamdiff.model.Coadd"
_ID = TemplateId(tract=1, patch=2, band="r")
_N = 6


def validate(subject: Subject, arguments: Arguments, result: object) -> None:  # noqa: ARG001
    """Raise unless a result is the coadd that was asked for, of these inputs."""
    template_id, warps = arguments
    require_type(result, Coadd, _READ)
    assert isinstance(result, Coadd)  # noqa: S101 - for the type checker
    require(
        result.exposure.id == template_id,
        expected=f"the coadd of {template_id}",
        got=result.exposure.id,
        read=_COADD,
    )
    require_planes(result.exposure, f"{_COADD}.exposure")
    require_psf(result.exposure.psf, result.exposure.shape, f"{_COADD}.exposure")
    offered = [warp.id for warp in warps]
    told = [item.id for item in result.inputs]
    require(
        sorted(map(str, told)) == sorted(map(str, offered)),
        expected=f"a report on each of {len(offered)} inputs",
        got=f"{len(told)}",
        read=f"{_COADD}.inputs",
    )
    weights = [item.weight for item in result.inputs if item.accepted]
    require(
        all(0 <= weight <= 1 for weight in weights) and abs(sum(weights) - 1) < 1e-3,
        expected="weights of accepted inputs that sum to 1",
        got=f"{sum(weights):.3f}",
        read="streamdiff.model.CoaddInput.weight",
    )
    empty = MaskPlane.NO_DATA.in_mask(result.exposure.mask)
    require(
        (result.n_image[~empty] > 0).all() and (result.n_image >= 0).all(),
        expected="an input, or more, where there are data",
        got="pixels with data of no input",
        read=f"{_COADD}.n_image",
    )


def stars_keep_their_flux(subject: Subject) -> Mapping[str, float]:
    """Require the mean flux of the inputs, measured with the PSF of the coadd."""
    coadd = subject.once("coadd", lambda: KIND.result(subject, (_ID, _warps())))
    sky = skies.field()
    x, y = sky.positions(sky.sources)
    flux = np.array([source.flux for source in sky.sources])
    inside = (x > 20) & (x < 140) & (y > 20) & (y < 140)
    brightest = np.flatnonzero(inside)[np.argsort(-flux[inside])[:12]]
    apart = [i for i in brightest if _is_apart(x, y, i)]
    found = forced_flux(coadd.exposure, x[apart], y[apart], exclude=NO_PLANES)
    bias = float(np.median(found.flux / flux[apart]) - 1)
    require(
        abs(bias) < 0.02,
        expected="the flux of bright stars, to 2 %",
        got=f"{bias:+.1%}",
        read=f"{_COADD}.exposure",
    )
    return {"flux_bias": bias}


def the_variance_is_that_of_the_mean(subject: Subject) -> Mapping[str, float]:
    """Require honest pixels: std(image / sigma) = 1 where no star is.

    Notes
    -----
    Some 5,000 pixels know it to 1 %.
    """
    coadd = subject.once("coadd", lambda: KIND.result(subject, (_ID, _warps())))
    dark = skies.field().render(GaussianProfile(fwhm=skies.FWHM)) < skies.NOISE / 50
    blank = dark & (coadd.exposure.mask == 0)
    image, variance = coadd.exposure.image, coadd.exposure.variance
    ratio = float((image / np.sqrt(variance))[blank].std())
    require(
        0.92 < ratio < 1.08,
        expected="std(image / sqrt(variance)) = 1 in blank sky",
        got=f"{ratio:.3f}",
        read=f"{_COADD}.exposure",
    )
    return {"noise_ratio": ratio}


def nothing_makes_no_coadd(subject: Subject) -> None:
    """Require a skip where there is no input, or none with data."""
    blank = (skies.masked()[0],) * 4
    for warps in ((), blank):
        result = KIND.call(subject, (_ID, warps))
        require(
            isinstance(result, Skip | Exception),
            expected="a Skip (Reason.INSUFFICIENT_EPOCHS) where there is nothing",
            got=f"a {type(result).__name__}",
            read=_READ,
        )


def _is_apart(x: NDArray[np.float64], y: NDArray[np.float64], index: int) -> bool:
    distance = np.hypot(x - x[index], y - y[index])
    return bool(np.partition(distance, 1)[1] > 8)


@remembered
def _warps() -> tuple[Exposure, ...]:
    sky = skies.field()
    return tuple(
        sky.observe(fwhm=skies.FWHM, noise=skies.NOISE, seed=n, visit=n, mjd=61000 + n)
        for n in range(1, _N + 1)
    )


def _cases() -> dict[str, Arguments]:
    warps = _warps()
    odd = skies.SHAPES["odd sides"]
    tiny = tuple(
        skies.field(skies.SHAPES["tiny"]).observe(noise=skies.NOISE, seed=n, visit=n)
        for n in range(1, 5)
    )
    return {
        "standard": (_ID, warps),
        "one input": (_ID, warps[:1]),
        "odd sides": (
            _ID,
            tuple(
                skies.field(odd).observe(noise=skies.NOISE, seed=n, visit=n)
                for n in range(1, 5)
            ),
        ),
        "tiny": (_ID, tiny),
        "one without data": (_ID, (*warps[:4], skies.masked()[0])),
        "one with holes": (_ID, (*warps[:4], skies.spoilt()[0])),
        "none": (_ID, ()),
    }


KIND = Kind(
    name="coadd",
    method="coadd",
    read=_READ,
    cases=_cases,
    validate=validate,
    checks=checks_of(
        stars_keep_their_flux,
        the_variance_is_that_of_the_mean,
        nothing_makes_no_coadd,
    ),
)
