"""``streamdiff plugins bench``: a plugin beside another, on the same images."""

from collections.abc import Iterator, Sequence
from itertools import chain
from math import isfinite
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from streamdiff.app.bench.contestant import Contestant
from streamdiff.app.bench.figures import FIGURES
from streamdiff.app.bench.page import picture, told, write_bench
from streamdiff.app.bench.run import (
    Comparison,
    Entry,
    Images,
    bench,
    compared,
    simulated,
)
from streamdiff.app.environment import find_plugins, read_settings
from streamdiff.app.single import Workbench
from streamdiff.cli.json_output import json_option, print_json
from streamdiff.cli.options import ReadPath, config_option
from streamdiff.cli.plugins import kind_option, only
from streamdiff.errors import ConfigError
from streamdiff.testing.ladder import LADDER

_FAILED = 1
# Columns of a table that no terminal limits.
_FILE_WIDTH = 140


@click.command("bench")
@click.argument("name")
@kind_option
@click.option("--against", metavar="NAME", help="Another plugin of the same kind.")
@config_option
@click.option(
    "--scenes",
    default=",".join(LADDER),
    show_default=True,
    help="Simulated pairs, separated by commas; empty for none.",
)
@click.option(
    "--size",
    type=click.IntRange(min=256),
    default=1024,
    show_default=True,
    help="Side of simulated images [pixel].",
)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--pair",
    "pairs",
    type=(ReadPath, ReadPath),
    multiple=True,
    metavar="SCIENCE TEMPLATE",
    help="Exposures of your own; the template may have another WCS. Repeatable.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="HTML page with pictures.",
)
@json_option
def command(
    name: str,
    kind: str | None,
    against: str | None,
    config: Path | None,
    scenes: str,
    size: int,
    seed: int,
    pairs: Sequence[tuple[Path, Path]],
    out: Path | None,
    *,
    as_json: bool,
) -> int:
    """Compare a subtractor, decorrelator or source finder with another one.

    Both get the same images, between the same other stages: those of the
    configuration. Exit code 1 if the plugin has made nothing of a pair.
    """
    registry, settings = find_plugins(), read_settings(config)
    kind = only(registry, name, kind).kind
    names = dict.fromkeys([name, *([against] if against else [])])
    contestants = [Contestant.of(settings, registry, kind, n) for n in names]
    workbench = Workbench(settings=settings, registry=registry)
    images = chain(
        simulated(_chosen(scenes), size=size, seed=seed), _real(workbench, pairs)
    )
    entries: list[Entry] = []
    pictures = []
    console = Console(stderr=True)
    with console.status("") as status:
        for pair, of_pair in bench(contestants, images, tick=status.update):
            entries += of_pair
            if out is not None:
                pictures.append(picture(pair, of_pair))
    comparisons = compared(entries, name, against) if against else ()
    if out is not None:
        title = f"{kind} {name}" + (f" against {against}" if against else "")
        write_bench(out, entries, pictures, comparisons, title=title)
    if as_json:
        print_json(_values(entries, comparisons))
    else:
        _show(entries, comparisons, name, against)
    return _FAILED if any(e.problem and e.contestant == name for e in entries) else 0


def _chosen(scenes: str) -> list[str]:
    names = [name.strip() for name in scenes.split(",") if name.strip()]
    if unknown := [name for name in names if name not in LADDER]:
        raise ConfigError(
            f"--scenes: there is no {', '.join(unknown)}; there are {', '.join(LADDER)}"
        )
    return names


def _real(workbench: Workbench, pairs: Sequence[tuple[Path, Path]]) -> Iterator[Images]:
    for science, template in pairs:
        image, sky = workbench.pair(science, template)
        yield Images(name=science.name, science=image, template=sky)


def _values(
    entries: Sequence[Entry], comparisons: Sequence[Comparison]
) -> dict[str, object]:
    return {
        "entries": [
            {
                "images": entry.images,
                "plugin": entry.contestant,
                "figures": {n: v for n, v in entry.figures.items() if isfinite(v)},
                "problem": entry.problem or None,
                "remarks": list(entry.remarks),
            }
            for entry in entries
        ],
        "verdict": [
            {
                "figure": row.figure,
                "better": row.better,
                "equal": row.equal,
                "worse": row.worse,
                "verdict": row.verdict,
            }
            for row in comparisons
        ],
    }


def _show(
    entries: Sequence[Entry],
    comparisons: Sequence[Comparison],
    name: str,
    against: str | None,
) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_FILE_WIDTH)
    table = Table("images", "plugin", box=None)
    for figure in FIGURES:
        table.add_column(figure.replace("_", " "), justify="right")
    for entry in entries:
        cells = [told(entry.figures.get(figure)) for figure in FIGURES]
        table.add_row(entry.images, entry.contestant, *cells)
    console.print(table)
    for entry in entries:
        for told_of in filter(None, (entry.problem, *entry.remarks)):
            console.print(f"{entry.images}, {entry.contestant}: {told_of}")
    if comparisons:
        heading = f"{name} against {against}"
        verdict = Table(heading, "better", "as good", "worse", box=None)
        verdict.add_column("verdict")
        for row in comparisons:
            counts = map(str, (row.better, row.equal, row.worse))
            verdict.add_row(row.figure.replace("_", " "), *counts, row.verdict)
        console.print(verdict)
