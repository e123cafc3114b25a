"""``streamdiff plugins``: what is installed, and which options it has."""

import inspect
import json

import click
from rich.console import Console
from rich.table import Table

from streamdiff.app.environment import find_plugins
from streamdiff.errors import PluginError
from streamdiff.plugins import Plugin, Registry


@click.group("plugins")
def command() -> None:
    """Show the plugins that are installed."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_plugins(*, as_json: bool) -> None:
    """List all plugins, and the packages that could not be loaded."""
    registry = find_plugins()
    if as_json:
        click.echo(json.dumps([_row(p) for p in _ordered(registry)], indent=1))
    else:
        table = Table("kind", "name", "distribution", "version", box=None)
        for plugin in _ordered(registry):
            table.add_row(*_row(plugin).values())
        Console().print(table)
    for broken in registry.broken:
        click.echo(f"broken: {broken}", err=True)


@command.command("show")
@click.argument("name")
@click.option("--kind", help="Where several kinds have a plugin of that name.")
def show_plugin(name: str, kind: str | None) -> None:
    """Describe a plugin and its options."""
    registry = find_plugins()
    found = [
        plugin
        for plugin in _ordered(registry)
        if plugin.name == name and kind in {None, plugin.kind}
    ]
    if not found:
        known = sorted({plugin.name for plugin in registry.plugins.values()})
        raise PluginError(f"there is no plugin {name!r}; there are {', '.join(known)}")
    for plugin in found:
        click.echo(f"[{plugin.table}]  # {plugin}")
        for option, field in plugin.options.model_fields.items():
            value = field.get_default(call_default_factory=True)
            default = "required" if field.is_required() else repr(value)
            limits = " ".join(str(limit) for limit in field.metadata)
            click.echo(f"  {option} = {default}  {limits}".rstrip())
        click.echo(inspect.getdoc(plugin.factory) or "")


def _ordered(registry: Registry) -> list[Plugin]:
    return [registry.plugins[key] for key in sorted(registry.plugins)]


def _row(plugin: Plugin) -> dict[str, str]:
    return {
        "kind": plugin.kind,
        "name": plugin.name,
        "distribution": plugin.origin.distribution,
        "version": plugin.origin.version,
    }
