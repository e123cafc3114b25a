"""The contract of subtractors."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from streamdiff.imaging.point_source import forced_flux
from streamdiff.model import (
    NO_PLANES,
    Difference,
    Exposure,
    FluxScale,
    MaskPlane,
    Skip,
)
from streamdiff.testing.contract import skies
from streamdiff.testing.contract.check import Arguments, Subject, checks_of, require
from streamdiff.testing.contract.kind import Kind
from streamdiff.testing.contract.planes import (
    require_planes,
    require_psf,
    require_shape,
    require_type,
)
from streamdiff.testing.contract.remember import remembered
from streamdiff.testing.profiles import GaussianProfile
from streamdiff.testing.sources import PointSource

_READ = "streamdiff.stages.Subtractor"
_DIFFERENCE = "streamdiff.model.Difference"
# Large enough for noise and its correlations to be known, small enough to be quick.
_SHAPE = (400, 400)
# Well above the noise, and of the brightness of the stars [nJy].
_FLUX = 3e4
_EDGE = 40


def validate(subject: Subject, arguments: Arguments, result: object) -> None:  # noqa: ARG001
    """Raise unless a result is a difference of the exposures."""
    require_difference(result, arguments[0], _READ)


def require_difference(result: object, science: Exposure, read: str) -> None:
    """Raise unless a result is a valid difference of a science exposure."""
    require_type(result, Difference, read)
    assert isinstance(result, Difference)  # noqa: S101 - for the type checker
    require_shape(result.shape, science.shape, read)
    require(
        result.id == science.id and result.photometric == science.photometric,
        expected=f"identity and unit of the science exposure, {science.id}",
        got=f"{result.id}, photometric {result.photometric}",
        read=_DIFFERENCE,
    )
    require_planes(result, _DIFFERENCE)
    require_psf(result.psf, result.shape, f"{_DIFFERENCE}.psf")
    for name in ("score", "template_score", "matched_template"):
        plane = getattr(result, name)
        require(
            plane is None or np.isfinite(plane).all(),
            expected=f"a finite {name}, or none",
            got="pixels that are not finite",
            read=f"{_DIFFERENCE}.{name}",
        )


def pixels_without_data_stay_without(subject: Subject) -> None:
    """Require NO_DATA where one of the two exposures has none."""
    science, template = skies.spoilt()
    difference = KIND.result(subject, (science, template))
    missing = MaskPlane.NO_DATA.in_mask(science.mask | template.mask)
    lost = missing & ~MaskPlane.NO_DATA.in_mask(difference.mask)
    require(
        not lost.any(),
        expected="NO_DATA wherever one of the exposures has none",
        got=f"{np.count_nonzero(lost)} of {np.count_nonzero(missing)} pixels without",
        read=f"{_DIFFERENCE}.mask",
    )


def a_sky_without_any_data_is_skipped(subject: Subject) -> None:
    """Require that nothing is made of nothing."""
    result = KIND.call(subject, skies.masked())
    is_empty = isinstance(result, Difference) and bool(
        MaskPlane.NO_DATA.in_mask(result.mask).all()
    )
    require(
        is_empty or isinstance(result, Skip | Exception),
        expected="a Skip (Reason.NO_VALID_PIXELS), or NO_DATA everywhere",
        got=f"a {type(result).__name__}",
        read="streamdiff.model.Skip",
    )


def the_variance_predicts_the_scatter(subject: Subject) -> Mapping[str, float]:
    """Require honest pixels: std(image / sigma) = 1 where no star is.

    Notes
    -----
    Some 8e4 pixels, of which neighbours may be correlated over a few, know it to
    0.7 %; pixels of a subtractor that estimates noise from few may differ more.
    """
    difference = _of_two_skies(subject)
    blank = _blank(difference)
    ratio = float((difference.image / np.sqrt(difference.variance))[blank].std())
    require(
        0.93 < ratio < 1.07,
        expected="a standard deviation of image / sqrt(variance) of 1 in blank sky",
        got=f"{ratio:.3f}",
        read=f"{_DIFFERENCE}.variance; streamdiff.imaging.propagate",
    )
    return {"noise_ratio": ratio}


def a_change_keeps_its_flux(subject: Subject) -> Mapping[str, float]:
    """Require the flux of a change, on the scale that the difference names.

    Notes
    -----
    Both differences have the same noise, so that the change alone is left: what
    the fit of a kernel makes of another bright star is below a percent.
    """
    difference = _changed(subject)
    change = difference.image - _of_two_skies(subject).image
    x, y, flux = _change(difference)
    only = replace(difference, image=change, score=None, template_score=None)
    found = forced_flux(only, [x], [y], exclude=NO_PLANES).flux[0]
    require(
        abs(found / flux - 1) < 0.03,
        expected=f"a flux of {flux:.0f} on the scale of the {difference.flux_scale}",
        got=f"{found:.0f}",
        read=f"{_DIFFERENCE}.flux_scale, .kernel_sum, .psf",
    )
    return {"flux_bias": float(found / flux - 1)}


def a_change_looks_like_the_psf(subject: Subject) -> Mapping[str, float]:
    """Require that the PSF of the difference is that of a change on it."""
    difference = _changed(subject)
    change = difference.image - _of_two_skies(subject).image
    x, y, flux = _change(difference)
    psf = difference.psf.at(x, y)
    half = min(psf.shape[0] // 2, _EDGE // 2)
    middle = psf.shape[0] // 2
    inner = slice(middle - half, middle + half + 1)
    row, column = round(y), round(x)
    seen = change[row - half : row + half + 1, column - half : column + half + 1]
    model = flux * psf[inner, inner]
    error = float(np.abs(seen - model).max() / model.max())
    require(
        error < 0.05,
        expected="a change of the shape of the PSF, to 5 % of its peak",
        got=f"pixels that are off by {error:.1%}",
        read=f"{_DIFFERENCE}.psf",
    )
    return {"psf_error": error}


def constant_stars_vanish(subject: Subject) -> Mapping[str, float]:
    """Require that stars of one seeing leave little but noise."""
    difference = KIND.result(subject, skies.pair(_SHAPE, skies.FWHM))
    stars = ~_blank(difference) & _inside(difference.shape)
    pulls = difference.image[stars] / np.sqrt(difference.variance[stars])
    chi = float(np.sqrt(np.mean(np.square(pulls, dtype=float))))
    require(
        chi < 1.5,
        expected="the noise alone, rms(image / sigma) = 1, where constant stars are",
        got=f"{chi:.2f}",
        read=_READ,
    )
    return {"star_chi": chi}


def the_unit_of_flux_makes_no_difference(subject: Subject) -> None:
    """Require k times the difference, and k**2 times its variance, in other units."""
    science, template = skies.pair(_SHAPE)
    factor = 64.0
    both = _of_two_skies(subject)
    other = KIND.result(
        subject, (skies.scaled(science, factor), skies.scaled(template, factor))
    )
    sigma = np.sqrt(both.variance)
    inside = _inside(both.shape)
    moved = (np.abs(other.image / factor - both.image) / sigma)[inside].max()
    grown = np.abs(other.variance / factor**2 / both.variance - 1)[inside].max()
    require(
        moved < 0.1 and grown < 0.02,
        expected="the same difference, to a tenth of its noise, in any unit of flux",
        got=f"pixels moved by {moved:.2f} sigma, variances by {grown:.1%}",
        read=f"{_DIFFERENCE}.image, .variance",
    )


KIND = Kind(
    name="subtract",
    method="subtract",
    read=_READ,
    cases=skies.exposures,
    validate=validate,
    checks=checks_of(
        pixels_without_data_stay_without,
        a_sky_without_any_data_is_skipped,
        the_variance_predicts_the_scatter,
        a_change_keeps_its_flux,
        a_change_looks_like_the_psf,
        constant_stars_vanish,
        the_unit_of_flux_makes_no_difference,
    ),
)


def _of_two_skies(subject: Subject) -> Difference:
    """Return the difference of two exposures in which nothing has changed."""
    return subject.once("two skies", lambda: _result(subject, skies.pair(_SHAPE)))


def _changed(subject: Subject) -> Difference:
    """Return the same with one new star on the science exposure."""
    return subject.once("changed", lambda: _result(subject, _changed_pair()))


def _result(subject: Subject, pair: skies.Pair) -> Difference:
    found: Difference = KIND.result(subject, pair)
    return found


@remembered
def _place() -> tuple[float, float]:
    """Return the place that is farthest from all stars."""
    x, y = skies.grid(_SHAPE, 4, 2 * _EDGE)
    stars = np.transpose(skies.field(_SHAPE).positions(skies.field(_SHAPE).sources))
    away = cKDTree(stars).query(np.transpose([x, y]))[0]
    best = int(away.argmax())
    return float(x[best]) + 0.3, float(y[best]) - 0.2


@remembered
def _changed_pair() -> skies.Pair:
    x, y = _place()
    now = skies.field(_SHAPE).add(PointSource(x, y, _FLUX))
    science = now.observe(fwhm=skies.FWHM, noise=skies.NOISE, seed=1, visit=7)
    return science, skies.pair(_SHAPE)[1]


def _change(difference: Difference) -> tuple[float, float, float]:
    """Return place and flux of the new star, on the scale of a difference."""
    on_template = difference.flux_scale is FluxScale.TEMPLATE
    return *_place(), _FLUX / difference.kernel_sum if on_template else _FLUX


def _inside(shape: tuple[int, int]) -> NDArray[np.bool_]:
    inside = np.zeros(shape, bool)
    inside[_EDGE:-_EDGE, _EDGE:-_EDGE] = True
    return inside


@remembered
def _dark() -> NDArray[np.bool_]:
    profile = GaussianProfile(fwhm=skies.FWHM + 1)
    dark: NDArray[np.bool_] = skies.field(_SHAPE).render(profile) < skies.NOISE / 10
    return dark


def _blank(difference: Difference) -> NDArray[np.bool_]:
    """Return where neither stars nor the border are."""
    blank: NDArray[np.bool_] = _dark() & _inside(difference.shape)
    blank &= difference.mask == 0
    return blank
