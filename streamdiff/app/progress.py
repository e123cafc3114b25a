"""How far long work is, told to whoever shows it."""

from typing import Protocol


class Progress(Protocol):
    """Shows how far each phase of some work is."""

    def begin(self, phase: str, total: int) -> None:
        """Begin a phase of so many steps."""
        ...

    def advance(self, phase: str, done: int) -> None:
        """Tell how many steps are done."""
        ...

    def note(self, text: str) -> None:
        """Tell what takes its time without steps to count."""
        ...


class Silent:
    """A `Progress` that shows nothing."""

    def begin(self, phase: str, total: int) -> None:
        """Show nothing."""

    def advance(self, phase: str, done: int) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""
