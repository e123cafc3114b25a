"""How each command is called: what its help ends with."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import click

EXAMPLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "demo": ("streamdiff demo", "streamdiff demo --out elsewhere --json"),
        "run": (
            "streamdiff run -c streamdiff.toml",
            "streamdiff run -c streamdiff.toml --only templates",
        ),
        "subtract": (
            "streamdiff subtract science.fits template.fits -o difference.fits",
            (
                "streamdiff subtract science.fits template.fits -o difference.fits "
                "--subtract zogy --alerts alerts.avro"
            ),
        ),
        "coadd": ("streamdiff coadd epoch1.fits epoch2.fits -o coadd.fits",),
        "publish visit-ready": (
            "streamdiff publish visit-ready visit.fits -c streamdiff.toml",
            "streamdiff publish visit-ready events.jsonl -c streamdiff.toml",
        ),
        "publish template-update": (
            (
                "streamdiff publish template-update epoch1.fits -c streamdiff.toml "
                "--action add"
            ),
        ),
        "archive record": (
            "streamdiff archive record -c streamdiff.toml --out archive",
            (
                "streamdiff archive record -c streamdiff.toml --out archive "
                "--topic visit-ready --until-idle 60"
            ),
        ),
        "archive verify": ("streamdiff archive verify archive --json",),
        "archive list": (
            "streamdiff archive list archive --since 2026-11-27T20:00 --band r",
        ),
        "archive report": (
            "streamdiff archive report archive -o night.html",
            "streamdiff archive report archive --since 2026-11-27T20:00 --json",
        ),
        "dead-letters list": (
            "streamdiff dead-letters list -c streamdiff.toml --reason timeout",
        ),
        "dead-letters show": (
            "streamdiff dead-letters show -c streamdiff.toml --offset 0:17",
        ),
        "dead-letters retry": (
            "streamdiff dead-letters retry -c streamdiff.toml --reason timeout",
        ),
        "replay": (
            "streamdiff replay archive -c streamdiff.toml --out replayed",
            "streamdiff replay archive -c streamdiff.toml --versus other.toml",
        ),
        "alerts show": (
            "streamdiff alerts show results --min-snr 10",
            "streamdiff alerts show results --object 42 --json",
        ),
        "alerts compare": (
            (
                "streamdiff alerts compare before.avro after.avro "
                "--tolerance psfFlux=0.01rel"
            ),
        ),
        "alerts report": ("streamdiff alerts report results -o report.html",),
        "alerts export": (
            "streamdiff alerts export results -o sources.parquet",
            "streamdiff alerts export results --min-snr 10 -o sources.vot",
        ),
        "monitor": (
            "streamdiff monitor streamdiff-demo",
            "streamdiff monitor -c streamdiff.toml --port 9000",
        ),
        "plugins list": ("streamdiff plugins list --all --json",),
        "plugins show": ("streamdiff plugins show al --kind subtract",),
        "plugins guide": ("streamdiff plugins guide subtract",),
        "plugins new": ("streamdiff plugins new subtract mine streamdiff-mine",),
        "plugins check": ("streamdiff plugins check al --kind subtract --json",),
        "plugins bench": (
            "streamdiff plugins bench zogy --kind subtract --against al",
        ),
        "train-reliability": ("streamdiff train-reliability -o model.npz",),
        "doctor": (
            "streamdiff doctor",
            "streamdiff doctor -c streamdiff.toml --json",
        ),
        "config check": (
            "streamdiff config check -c streamdiff.toml --all",
            "STREAMDIFF__STREAM__WORKERS=4 streamdiff config check -c streamdiff.toml",
        ),
        "help": ("streamdiff help reasons", "streamdiff help config check"),
        "config example": ("streamdiff config example > streamdiff.toml",),
    }
)


def add_examples(name: str, command: click.Command) -> click.Command:
    """Let the help of a command, and of those below it, end with how it is called.

    Those below are imported when they are called, as before.
    """
    if isinstance(command, click.Group):
        if not isinstance(command.get_command, partial):  # else it was asked before
            command.get_command = partial(_below, command.get_command, name)  # type: ignore[method-assign]
        return command
    if command.epilog is None and name in EXAMPLES:
        lines = "".join(f"\n  {line}" for line in EXAMPLES[name])
        heading = "Examples" if len(EXAMPLES[name]) > 1 else "Example"
        command.epilog = f"\b\n{heading}:{lines}"
    return command


def _below(
    get: Callable[[click.Context, str], click.Command | None],
    name: str,
    context: click.Context,
    below: str,
) -> click.Command | None:
    """Return a command of a group, its help with examples."""
    command = get(context, below)
    return None if command is None else add_examples(f"{name} {below}", command)
