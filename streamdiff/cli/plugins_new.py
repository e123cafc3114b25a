"""``streamdiff plugins new``: a package to begin with."""

from pathlib import Path

import click

from streamdiff.app.new_plugin import SKELETONS, write_package
from streamdiff.cli.json_output import json_option, print_json


@click.command("new")
@click.argument("kind", type=click.Choice(SKELETONS))
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@json_option
def command(kind: str, name: str, folder: Path, *, as_json: bool) -> None:
    """Write an installable package with a plugin that works, its tests and its CI."""
    written = list(write_package(kind, name, folder))
    if as_json:
        print_json({"kind": kind, "name": name, "files": written})
        return
    for path in written:
        click.echo(path)
    click.echo(f"next: pip install -e '{folder}[test]'")
    click.echo(f"      streamdiff plugins check {name} --kind {kind}")
