"""What was looked at, and how it is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    check : str
        Kind of thing, such as ``package``.
    subject : str
        Which one.
    detail : str
        How it is.
    fix : str
        What to do; empty where all is well.
    """

    check: str
    subject: str
    detail: str
    fix: str = ""

    @property
    def is_ok(self) -> bool:
        """Return whether nothing has to be done."""
        return not self.fix
