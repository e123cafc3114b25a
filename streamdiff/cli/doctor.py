"""``streamdiff doctor``: whether an installation can work."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import click

from streamdiff import log
from streamdiff.app.doctor.examine import examine
from streamdiff.app.doctor.finding import Finding
from streamdiff.app.environment import find_plugins
from streamdiff.cli.json_output import json_option, print_json
from streamdiff.cli.options import config_option

UNWELL = 1
_OK, _PROBLEM = "ok", "problem"


@click.command("doctor")
@config_option
@json_option
def command(config: Path | None, *, as_json: bool) -> int:
    """Look at everything that must be right, and tell how to put right what is not.

    Versions, plugins and schemas; with a configuration also its plugins, store,
    folders, catalogue, brokers, topics and Schema Registry. Nothing is consumed, and
    nothing stays written. Exit code 1: there is a problem.
    """
    log.configure()
    findings = examine(config, find_plugins())
    if as_json:
        listed = list(findings)
        _print_json(listed)
    else:
        listed = _print_lines(findings)
    return 0 if all(finding.is_ok for finding in listed) else UNWELL


def _print_json(findings: Iterable[Finding]) -> None:
    rows = [asdict(finding) | {"ok": finding.is_ok} for finding in findings]
    print_json({"ok": all(row["ok"] for row in rows), "checks": rows})


def _print_lines(findings: Iterable[Finding]) -> list[Finding]:
    """Print each finding as soon as it is there, and return all."""
    listed = []
    for finding in findings:
        listed.append(finding)
        word = _OK if finding.is_ok else _PROBLEM
        what = f"{finding.check} {finding.subject}: {finding.detail}"
        click.echo(f"{word:8}{_one_line(what)}")
        if finding.fix:
            click.echo(f"{'':8}  fix: {_one_line(finding.fix)}")
    n_problems = sum(not finding.is_ok for finding in listed)
    plural = "" if n_problems == 1 else "s"
    click.echo(f"{n_problems} problem{plural}" if n_problems else "all is well")
    return listed


def _one_line(text: str) -> str:
    return "; ".join(filter(None, map(str.strip, text.splitlines())))
