"""The option that says which pixels measurers do not use."""

from dataclasses import dataclass

from streamdiff.model import MaskPlane


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodPixels:
    """A measurer that leaves out pixels on some mask planes.

    Attributes
    ----------
    exclude : tuple of str
        Mask planes whose pixels take no part.
    """

    exclude: tuple[str, ...] = ("BAD", "SAT", "CR", "NO_DATA", "SAT_TEMPLATE")

    def __post_init__(self) -> None:
        # A misspelt plane is to be known at start, not at the first visit.
        _ = self.excluded

    @property
    def excluded(self) -> MaskPlane:
        """Return the excluded planes together."""
        return MaskPlane.named(self.exclude)
