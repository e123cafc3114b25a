"""``streamdiff plugins check``: does a plugin keep the contract of its kind."""

from pathlib import Path

import click

from streamdiff.app.checking import COSTS, Row, check_plugin
from streamdiff.app.environment import find_plugins, read_settings
from streamdiff.cli.json_output import json_option, print_json
from streamdiff.cli.options import config_option
from streamdiff.cli.plugins import kind_option, only
from streamdiff.testing.contract import Verdict

_BROKEN = 1


@click.command("check")
@click.argument("name")
@kind_option
@config_option
@click.option(
    "--timeout-s",
    type=click.FloatRange(min=1),
    default=300.0,
    show_default=True,
    help="For one rule.",
)
@json_option
def command(
    name: str, kind: str | None, config: Path | None, timeout_s: float, *, as_json: bool
) -> int:
    """Check a plugin against the contract of its kind, in a process of its own.

    It is built with the options of the configuration. Exit code 1 if a rule is
    broken.
    """
    plugin = only(find_plugins(), name, kind)
    options = read_settings(config).options(plugin.kind, plugin.name)
    plugin.build(options)
    rows = []
    if not as_json:
        click.echo(f"{plugin.kind} plugin {plugin}")
    for row in check_plugin(plugin.kind, name, options, timeout_s=timeout_s):
        rows.append(row)
        if not as_json:
            _show(row)
    broken = sum(row.verdict is Verdict.BROKEN for row in rows)
    if as_json:
        print_json(
            {
                "kind": plugin.kind,
                "name": plugin.name,
                "distribution": plugin.origin.distribution,
                "version": plugin.origin.version,
                "broken": broken,
                "checks": [row.as_dict() for row in rows],
            }
        )
    else:
        kept = sum(row.verdict is Verdict.KEPT for row in rows if row.check != COSTS)
        click.echo(f"{kept} rules kept, {broken} broken")
    return _BROKEN if broken else 0


def _show(row: Row) -> None:
    told = ", ".join(f"{name} {value:.3g}" for name, value in row.figures.items())
    note = row.note or told
    title = row.check.replace("_", " ")
    click.echo(f"  {row.verdict:14} {title}" + (f" ({note})" if note else ""))
    if row.verdict is Verdict.BROKEN:
        for label in ("expected", "got", "read"):
            click.echo(f"{label:>12}: {getattr(row, label)}")
