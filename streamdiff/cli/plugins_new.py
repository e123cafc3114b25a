"""``streamdiff plugins new``: a package to begin with."""

from pathlib import Path

import click

from streamdiff.app.new_plugin import SKELETONS, write_package


@click.command("new")
@click.argument("kind", type=click.Choice(SKELETONS))
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def command(kind: str, name: str, folder: Path) -> None:
    """Write an installable package with a plugin that works, its tests and its CI."""
    for path in write_package(kind, name, folder):
        click.echo(path)
    click.echo(f"next: pip install -e '{folder}[test]'")
    click.echo(f"      streamdiff plugins check {name} --kind {kind}")
