"""The contract of decorrelators."""

from collections.abc import Mapping

import numpy as np

from streamdiff.imaging.point_source import forced_flux
from streamdiff.model import UNUSABLE, Difference, Noise
from streamdiff.testing.contract import skies
from streamdiff.testing.contract.check import (
    Arguments,
    NotApplicableError,
    Subject,
    checks_of,
    require,
)
from streamdiff.testing.contract.fingerprint import fingerprint
from streamdiff.testing.contract.kind import Kind
from streamdiff.testing.contract.subtract import require_difference
from streamdiff.testing.scene import Scene
from streamdiff.testing.sources import PointSource

_READ = "streamdiff.stages.Decorrelator"
_DIFFERENCE = "streamdiff.model.Difference"
_SHAPE = (512, 512)
_EDGE = 32
_FLUX = 5e4
_PLACE = (250.3, 261.8)


def validate(subject: Subject, arguments: Arguments, result: object) -> None:  # noqa: ARG001
    """Raise unless a result is a difference of the same exposure."""
    require_difference(result, arguments[1], _READ)
    given = arguments[0]
    assert isinstance(result, Difference)  # noqa: S101 - for the type checker
    same = ("flux_scale", "kernel_sum", "convolved")
    changed = [name for name in same if getattr(result, name) != getattr(given, name)]
    require(
        not changed,
        expected="flux scale, kernel sum and direction as they were",
        got=f"others: {', '.join(changed)}",
        read=_READ,
    )


def a_white_difference_is_returned_unchanged(subject: Subject) -> None:
    """Require that nothing is done where nothing is to do."""
    science, template = skies.pair()
    white = skies.images_of((science, skies.pair(template_fwhm=skies.FWHM)[1]))
    result = KIND.result(subject, (white.difference, science, template))
    require(
        fingerprint(result) == fingerprint(white.difference),
        expected="a difference with white noise returned unchanged",
        got="another one",
        read=_READ,
    )


def noise_is_what_the_result_says(subject: Subject) -> Mapping[str, float]:
    """Require independent pixels of the right variance, where noise is "white".

    Notes
    -----
    2e5 pixels know a standard deviation to 0.16 % and a correlation to 0.23 %.
    """
    result = _whitened(subject)
    if result.noise is not Noise.WHITE:
        raise NotApplicableError("it leaves the noise correlated, and says so")
    inner = slice(_EDGE, -_EDGE)
    pulls = (result.image / np.sqrt(result.variance))[inner, inner]
    pulls = pulls - pulls.mean()
    power = float(np.square(pulls, dtype=float).mean())
    rho = max(
        abs(float((p[:, lag:] * p[:, :-lag]).mean())) / power
        for p in (pulls, pulls.T)
        for lag in (1, 2, 3)
    )
    require(
        abs(power**0.5 - 1) < 0.02,
        expected="std(image / sigma) = 1 within 2 % in blank sky",
        got=f"{power**0.5:.3f}",
        read=f"{_DIFFERENCE}.variance",
    )
    require(
        rho < 0.03,
        expected="correlations of neighbouring pixels below 0.03",
        got=f"{rho:.3f}",
        read=f"{_DIFFERENCE}.noise; DMTN-021",
    )
    return {"noise_ratio": power**0.5, "largest_correlation": rho}


def fluxes_are_kept(subject: Subject) -> Mapping[str, float]:
    """Require the flux of a change, measured with the PSF of the result."""
    result = _whitened(subject, with_change=True)
    found = forced_flux(result, [_PLACE[0]], [_PLACE[1]], exclude=UNUSABLE)
    bias, error = found.flux[0] / _FLUX - 1, found.flux_error[0] / _FLUX
    require(
        abs(bias) < 4 * error + 0.005,
        expected=f"a flux of {_FLUX:.0f}, to its error of {error:.2%}",
        got=f"{found.flux[0]:.0f}",
        read=f"{_DIFFERENCE}.psf",
    )
    return {"flux_bias": float(bias)}


def _cases() -> dict[str, Arguments]:
    cases = {name: (skies.convolved(*p), *p) for name, p in skies.exposures().items()}
    science, template = skies.pair(template_fwhm=skies.FWHM)
    white = skies.images_of((science, template)).difference
    return {**cases, "white already": (white, science, template)}


def _whitened(subject: Subject, *, with_change: bool = False) -> Difference:
    def whitened() -> Difference:
        found: Difference = KIND.result(subject, _empty_skies(with_change=with_change))
        return found

    return subject.once(f"whitened, change {with_change}", whitened)


def _empty_skies(*, with_change: bool) -> Arguments:
    """Return what noise alone gives, and one change."""
    sources = (PointSource(*_PLACE, _FLUX),) if with_change else ()
    science = Scene(sources=sources, shape=_SHAPE).observe(
        fwhm=skies.FWHM, noise=skies.NOISE, seed=1
    )
    template = Scene(shape=_SHAPE).observe(
        fwhm=skies.SHARP_FWHM, noise=1.5 * skies.NOISE, seed=2
    )
    return skies.convolved(science, template), science, template


KIND = Kind(
    name="decorrelate",
    method="decorrelate",
    read=_READ,
    cases=_cases,
    validate=validate,
    checks=checks_of(
        a_white_difference_is_returned_unchanged,
        noise_is_what_the_result_says,
        fluxes_are_kept,
    ),
)
