"""``streamdiff plugins guide``: the page on a kind of plugins."""

import click

from streamdiff.app.environment import find_plugins
from streamdiff.app.guide import page
from streamdiff.plugins import KINDS


@click.command("guide")
@click.argument("kind", type=click.Choice(list(KINDS)))
def command(kind: str) -> None:
    """Tell what plugins of a kind do: protocol, units, rules, an example."""
    click.echo(page(kind, find_plugins()), nl=False)
