"""Options that several commands share."""

from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

ReadPath = click.Path(path_type=Path, dir_okay=False)

config_option = click.option(
    "-c", "--config", "config", type=ReadPath, help="TOML file; defaults without it."
)

WIDTH = 160  # where there is no terminal, whose width to keep to


def plain_console() -> Console:
    """Return a console that prints text as it is, whatever is in brackets."""
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    return console


def utc_time(text: str) -> datetime:
    """Return the time of a text in ISO 8601; UTC unless it names another zone."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as err:
        message = f"{text!r} is no time, such as 2026-11-27T20:00"
        raise click.BadParameter(message) from err
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def utc_text(time_ms: int | None) -> str | None:
    """Return a time since 1970 [ms] in ISO 8601, UTC; `None` if it is not known."""
    if time_ms is None:
        return None
    time = datetime.fromtimestamp(time_ms / 1000, tz=UTC).replace(tzinfo=None)
    return f"{time.isoformat(timespec='milliseconds')}Z"
