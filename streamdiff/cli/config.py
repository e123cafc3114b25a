"""``streamdiff config``: check a configuration, or print an annotated one."""

import os
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from streamdiff.app import wiring
from streamdiff.app.effective import Effective, effective
from streamdiff.app.environment import find_plugins, read_settings
from streamdiff.app.example import example
from streamdiff.cli.json_output import json_option, print_json
from streamdiff.cli.options import plain_console


@click.group("config")
def command() -> None:
    """Check a configuration, or print an example."""


@command.command("check")
@click.option("-c", "--config", "path", type=click.Path(path_type=Path), required=True)
@click.option("--all", "shows_all", is_flag=True, help="Keys at their default, too.")
@json_option
def check(path: Path, *, shows_all: bool, as_json: bool) -> None:
    """Check keys, values, plugins and their options; nothing is started.

    Shows the settings that hold, and where each comes from: the file, a variable of
    the environment, or its default. Secrets are not shown.
    """
    settings = read_settings(path)
    settings.require_service()
    registry = find_plugins()
    wiring.check(settings, registry)
    for broken in registry.broken:
        click.echo(f"warning: plugin package not loaded: {broken}", err=True)
    found = effective(settings, path, os.environ)
    shown = [item for item in found if shows_all or not item.is_default]
    if as_json:
        told = {"ok": True, "config_hash": settings.config_hash}
        rows = [asdict(item) for item in found]
        print_json(told | {"settings": rows})
        return
    _print_table(shown)
    if hidden := len(found) - len(shown):
        click.echo(f"{hidden} keys have their defaults; --all shows them")
    click.echo(f"{path}: ok")


def _print_table(rows: list[Effective]) -> None:
    table = Table("key", "value", "from", box=None)
    for row in rows:
        table.add_row(row.key, row.value, row.origin)
    if rows:
        plain_console().print(table)


@command.command("example")
def print_example() -> None:
    """Print every key with its default and what it means."""
    click.echo(example(find_plugins()), nl=False)
