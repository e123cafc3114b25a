"""The command line; the only place that prints."""

from streamdiff.cli.program import main

__all__ = ["main"]
