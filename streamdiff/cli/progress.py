"""How far long work is: bars on a terminal, lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

from streamdiff.app.progress import Progress

LINES_PER_PHASE = 4


@contextmanager
def shown_progress(console: Console) -> Iterator[Progress]:
    """Show bars on a terminal, lines elsewhere."""
    if not console.is_terminal:
        yield _Lines(stderr=console.stderr)
        return
    columns = (
        TextColumn("{task.description:10}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console) as bars:
        yield _Bars(bars)


class _Rate(ProgressColumn):
    """How many steps are done in a minute."""

    def render(self, task: Task) -> Text:
        """Return the rate, once it is known."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{60 * speed:.3g}/min")


@dataclass(slots=True)
class _Bars:
    """Shows the phases as bars."""

    bars: Bars
    tasks: dict[str, TaskID] = field(default_factory=dict)

    def begin(self, phase: str, total: int) -> None:
        """Add the bar of a phase."""
        self.tasks[phase] = self.bars.add_task(phase, total=total)

    def advance(self, phase: str, done: int) -> None:
        """Move the bar of a phase."""
        self.bars.update(self.tasks[phase], completed=done)

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self.bars.console.print(text, highlight=False)


@dataclass(slots=True)
class _Lines:
    """Tells the phases in lines, a few per phase."""

    stderr: bool
    totals: dict[str, int] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)

    def begin(self, phase: str, total: int) -> None:
        """Remember what there is to do."""
        self.totals[phase] = total

    def advance(self, phase: str, done: int) -> None:
        """Print a line for every part of the work that is done."""
        part = LINES_PER_PHASE * done // max(self.totals[phase], 1)
        if part > self.told.get(phase, 0):
            self.told[phase] = part
            self.note(f"{phase}: {done} of {self.totals[phase]}")

    def note(self, text: str) -> None:
        """Print a line."""
        click.echo(text, err=self.stderr)
