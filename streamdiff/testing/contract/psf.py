"""The contract of PSF estimators."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from streamdiff.errors import StreamdiffError
from streamdiff.model import ConstantPsf, Exposure, Psf, UnknownPsf
from streamdiff.testing.contract import skies
from streamdiff.testing.contract.check import Arguments, Subject, checks_of, require
from streamdiff.testing.contract.kind import Kind
from streamdiff.testing.contract.planes import require_psf
from streamdiff.testing.contract.remember import remembered
from streamdiff.testing.profiles import GaussianProfile

_READ = "streamdiff.stages.PsfEstimator"
_SHAPE = (400, 400)


def validate(subject: Subject, arguments: Arguments, result: object) -> None:  # noqa: ARG001
    """Raise unless a result is a PSF."""
    require(
        not isinstance(result, UnknownPsf),
        expected="a PSF, or an InvalidExposureError where there are too few stars",
        got="UnknownPsf",
        read=_READ,
    )
    require_psf(result, arguments[0].shape, "streamdiff.model.Psf")


def the_psf_is_that_of_the_stars(subject: Subject) -> Mapping[str, float]:
    """Require sum |P - P_true| < 0.1 from some 400 stars.

    Notes
    -----
    A shape that is wrong by 5 % in its width differs by 0.1.
    """
    psf = subject.once("psf", lambda: KIND.result(subject, (_stars(),)))
    error = _difference_of(psf, ConstantPsf(GaussianProfile(fwhm=skies.FWHM).stamp()))
    require(
        error < 0.1,
        expected="the PSF of the stars, sum |P - P_true| < 0.1",
        got=f"{error:.3f}",
        read=_READ,
    )
    return {"psf_error": error}


def an_image_without_stars_has_no_psf(subject: Subject) -> None:
    """Require a typed error rather than a guess."""
    result = KIND.call(subject, (_unknown(skies.masked()[0]),))
    require(
        isinstance(result, StreamdiffError),
        expected="an InvalidExposureError where there are no stars",
        got=f"a {type(result).__name__}",
        read="streamdiff.errors",
    )


def _difference_of(psf: Psf, true: Psf) -> float:
    stamps = [p.centred_at(200, 200) for p in (psf, true)]
    side = max(stamp.shape[0] for stamp in stamps)
    one, other = (np.pad(s, (side - s.shape[0]) // 2) for s in stamps)
    return float(np.abs(one - other).sum())


@remembered
def _stars() -> Exposure:
    return _unknown(skies.pair(_SHAPE)[0])


def _unknown(exposure: Exposure) -> Exposure:
    return replace(exposure, psf=UnknownPsf())


def _cases() -> dict[str, Arguments]:
    return {name: (_unknown(p[0]),) for name, p in skies.exposures().items()}


KIND = Kind(
    name="psf",
    method="estimate",
    read=_READ,
    cases=_cases,
    validate=validate,
    checks=checks_of(the_psf_is_that_of_the_stars, an_image_without_stars_has_no_psf),
)
