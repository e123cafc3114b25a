"""``streamdiff plugins``: what is installed, what it does, and how good it is."""

import inspect
import re
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from streamdiff.app.environment import find_plugins
from streamdiff.app.example import toml_value
from streamdiff.cli.json_output import json_option, print_json
from streamdiff.errors import PluginError
from streamdiff.options import Option
from streamdiff.plugins import KINDS, Plugin, Registry, protocol_of

kind_option = click.option(
    "--kind",
    type=click.Choice(list(KINDS)),
    help="Where several kinds have a plugin of that name.",
)

# Name -> its module beside this one: they need what takes a while to import.
_COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "guide": "plugins_guide",
        "new": "plugins_new",
        "check": "plugins_check",
        "bench": "plugins_bench",
    }
)


class _Group(click.Group):
    """A group that imports some of its commands when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        module = import_module(f"streamdiff.cli.{_COMMANDS[cmd_name]}")
        loaded: click.Command = module.command
        return loaded


@click.group("plugins", cls=_Group)
def command() -> None:
    """Show, make, check and compare plugins."""


@command.command("list")
@click.option("--all", "everything", is_flag=True, help="Event decoders, too.")
@json_option
def list_plugins(*, everything: bool, as_json: bool) -> None:
    """List the plugins of [pipeline], and the packages that could not be loaded."""
    registry = find_plugins()
    plugins = [p for p in _ordered(registry) if everything or p.kind != "decode"]
    if as_json:
        print_json([_row(p) for p in plugins])
    else:
        table = Table("kind", "name", "distribution", "version", box=None)
        for plugin in plugins:
            table.add_row(*_row(plugin).values())
        Console().print(table)
    for broken in registry.broken:
        click.echo(f"broken: {broken}", err=True)


@command.command("show")
@click.argument("name")
@kind_option
@json_option
def show_plugin(name: str, kind: str | None, *, as_json: bool) -> None:
    """Describe a plugin and its options: types, units, ranges, defaults."""
    found = named(find_plugins(), name, kind)
    if as_json:
        print_json([_described(plugin) for plugin in found])
        return
    for plugin in found:
        click.echo(f"[{plugin.table}]  # {plugin}")
        for option in plugin.described_options:
            click.echo(f"  {_line(option)}")
            if option.doc:
                click.echo(f"      {option.doc}")
        click.echo(f"\n{_text(plugin)}\n")
        protocol = protocol_of(plugin.kind)
        click.echo(f"Follows streamdiff.stages.{protocol.__name__}.")


def named(registry: Registry, name: str, kind: str | None) -> list[Plugin]:
    """Return the plugins of a name, of one kind or of all.

    Raises
    ------
    PluginError
        If there is none.
    """
    found = [
        plugin
        for plugin in _ordered(registry)
        if plugin.name == name and kind in {None, plugin.kind}
    ]
    if found:
        return found
    if kind is not None:
        return [registry.get(kind, name)]
    known = sorted({plugin.name for plugin in registry.plugins.values()})
    broken = "".join(f" Broken: {package}." for package in registry.broken)
    raise PluginError(
        f"there is no plugin {name!r}; there are {', '.join(known)}.{broken}"
    )


def only(registry: Registry, name: str, kind: str | None) -> Plugin:
    """Return the one plugin of a name.

    Raises
    ------
    PluginError
        If there is none, or there are several and no kind is given.
    """
    found = named(registry, name, kind)
    if len(found) > 1:
        kinds = ", ".join(plugin.kind for plugin in found)
        raise PluginError(f"several kinds have a plugin {name!r}: give --kind {kinds}")
    return found[0]


def _text(plugin: Plugin) -> str:
    """Return the docstring of a plugin without its options, told before."""
    text = inspect.getdoc(plugin.factory) or ""
    options = r"^(Attributes|Parameters)\n-+\n.*?(?=^\S[^\n]*\n-{3,}|\Z)"
    return re.sub(options, "", text, flags=re.DOTALL | re.MULTILINE).strip()


def _line(option: Option) -> str:
    default = "required" if option.is_required else _default(option)
    facts = (option.type_name, option.range, option.unit and f"[{option.unit}]")
    return f"{option.name} = {default}  # {', '.join(filter(None, facts))}"


def _default(option: Option) -> str:
    return "none" if option.default is None else toml_value(option.default)


def _described(plugin: Plugin) -> dict[str, Any]:
    return {
        **_row(plugin),
        "doc": inspect.getdoc(plugin.factory) or "",
        "protocol": f"streamdiff.stages.{protocol_of(plugin.kind).__name__}",
        "options": [
            {
                "name": option.name,
                "type": option.type_name,
                "default": None if option.default is None else _default(option),
                "required": option.is_required,
                "range": option.range,
                "unit": option.unit,
                "doc": option.doc,
            }
            for option in plugin.described_options
        ],
    }


def _ordered(registry: Registry) -> list[Plugin]:
    return [registry.plugins[key] for key in sorted(registry.plugins)]


def _row(plugin: Plugin) -> dict[str, str]:
    return {
        "kind": plugin.kind,
        "name": plugin.name,
        "distribution": plugin.origin.distribution,
        "version": plugin.origin.version,
    }
