"""How streamdiff logs: lines to read on a terminal, JSON elsewhere."""

import logging
import sys
from typing import TextIO

import structlog

LEVELS = ("debug", "info", "warning", "error")


def configure(
    *, level: str = "info", stream: TextIO | None = None, json: bool | None = None
) -> None:
    """Send everything that is logged in this process to one stream.

    Parameters
    ----------
    level : str
        Least severe level that is written, one of `LEVELS`.
    stream : text file
        Standard error by default, so that standard output stays for results.
    json : bool
        One JSON object per line; by default unless the stream is a terminal.
    """
    stream = stream or sys.stderr
    as_json = not stream.isatty() if json is None else json
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=_processors(as_json=as_json, colors=stream.isatty()),
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )


def level() -> str:
    """Return the least severe level that is written in this process."""
    number: int = structlog.get_logger().get_effective_level()
    return logging.getLevelName(number).lower()


def _processors(*, as_json: bool, colors: bool) -> list[structlog.typing.Processor]:
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if as_json:
        return [
            *shared,
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(default=str),
        ]
    return [*shared, structlog.dev.ConsoleRenderer(colors=colors)]
