"""What commands tell programs: ``--json``.

One JSON document on standard output and nothing else; progress, warnings and errors
go to standard error. Numbers that are not finite are null.
"""

import json
from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")


def print_json(value: object) -> None:
    """Print one document."""
    click.echo(json.dumps(_plain(value), indent=1, allow_nan=False))


def print_json_rows(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print an array row by row, so that memory stays flat."""
    before = "["
    for row in rows:
        text = json.dumps(_plain(row), allow_nan=False)
        click.echo(f"{before}\n {text}", nl=False)
        before = ","
    click.echo("[]" if before == "[" else "\n]")


def _plain(value: object) -> object:
    """Return a value as JSON has it: paths as text, what is not finite as null."""
    match value:
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case Path():
            return str(value)
        case float():
            return value if isfinite(value) else None
    return value
