"""Estimates the PSF of an exposure from its stars: the plugin ``empirical``."""

from collections.abc import Callable, Mapping

from streamdiff.hookspecs import hookimpl
from streamdiff.stages import PsfEstimator
from streamdiff_psf.empirical import EmpiricalPsf

__all__ = ["EmpiricalPsf", "streamdiff_psf_estimators"]


@hookimpl
def streamdiff_psf_estimators() -> Mapping[str, Callable[..., PsfEstimator]]:
    """Offer ``empirical``."""
    return {"empirical": EmpiricalPsf}
