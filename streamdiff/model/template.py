"""The static sky to subtract from one science exposure."""

from dataclasses import dataclass

from streamdiff.model.events import TemplateUse
from streamdiff.model.exposure import Exposure


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Template:
    """A template on the pixels of the science image.

    Attributes
    ----------
    exposure : Exposure
    coverage : float
        Fraction of the science image that the template covers, in [0, 1].
    uses : tuple of TemplateUse
        The versions that it was assembled from.
    """

    exposure: Exposure
    coverage: float
    uses: tuple[TemplateUse, ...] = ()
