"""``streamdiff config``: check a configuration, or print an annotated one."""

from pathlib import Path

import click

from streamdiff.app import wiring
from streamdiff.app.environment import find_plugins, read_settings
from streamdiff.app.example import example


@click.group("config")
def command() -> None:
    """Check a configuration, or print an example."""


@command.command("check")
@click.option("-c", "--config", "path", type=click.Path(path_type=Path), required=True)
def check(path: Path) -> None:
    """Check keys, values, plugins and their options; nothing is started."""
    settings = read_settings(path)
    settings.require_service()
    registry = find_plugins()
    wiring.check(settings, registry)
    for broken in registry.broken:
        click.echo(f"warning: plugin package not loaded: {broken}", err=True)
    click.echo(f"{path}: ok")


@command.command("example")
def print_example() -> None:
    """Print every key with its default and what it means."""
    click.echo(example(find_plugins()), nl=False)
