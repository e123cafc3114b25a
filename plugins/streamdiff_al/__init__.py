"""Subtraction with a fitted matching kernel (Alard & Lupton 1998, ApJ 503, 325)."""

from collections.abc import Callable, Mapping

from streamdiff.hookspecs import hookimpl
from streamdiff.stages import Subtractor
from streamdiff_al.basis import KernelBasis
from streamdiff_al.candidates import CandidateSource
from streamdiff_al.direction import Direction
from streamdiff_al.regularise import Regularisation
from streamdiff_al.subtract import AlardLuptonSubtractor

__all__ = [
    "AlardLuptonSubtractor",
    "CandidateSource",
    "Direction",
    "KernelBasis",
    "Regularisation",
]


@hookimpl
def streamdiff_subtractors() -> Mapping[str, Callable[..., Subtractor]]:
    """Offer ``al``."""
    return {"al": AlardLuptonSubtractor}
