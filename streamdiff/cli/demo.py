"""``streamdiff demo``: the whole of it, on a simulated survey."""

import shutil
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from streamdiff import log
from streamdiff.app.demo.figures import Figures, snr_range
from streamdiff.app.demo.report import write_report
from streamdiff.app.demo.run import ALERTS, ARCHIVE, run_demo
from streamdiff.app.demo.settings import CATALOGUE
from streamdiff.app.demo.triplets import TRIPLETS, write_triplets
from streamdiff.app.environment import find_plugins
from streamdiff.cli.json_output import json_option, print_json
from streamdiff.cli.progress import shown_progress
from streamdiff.errors import ConfigError, StreamdiffError
from streamdiff.testing import Survey

# Says that a folder was made by a demo.
MARKER = ".streamdiff-demo"
REPORT = "report.html"


@click.command("demo")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("streamdiff-demo"),
    help="Folder of the results; an earlier demo in it is replaced.",
)
@click.option("--seed", default=0, help="Of the simulated sky.")
@json_option
def command(out: Path, seed: int, *, as_json: bool) -> None:
    """Simulate a survey, process its events, and compare alerts with the truth."""
    console = Console(stderr=as_json)
    clear_folder(out)
    log.configure(level="warning")
    with shown_progress(console) as progress:
        result = run_demo(out, Survey(seed=seed), find_plugins(), progress)
    figures = Figures.of(result)
    write_report(out / REPORT, result, figures.summary)
    write_triplets(out / TRIPLETS, result)
    if as_json:
        print_json(_told(out, figures))
    else:
        console.print(_table(figures))
        console.print(figures.summary)
        console.print(
            f"Pictures: {out / REPORT}; alerts: {out / ALERTS}; events: {out / ARCHIVE}"
        )
    if result.n_read != result.n_produced:
        raise StreamdiffError(
            f"{result.n_produced} alerts were produced, {result.n_read} were read"
        )


def clear_folder(out: Path) -> None:
    """Make an empty folder; what is removed from it was made by an earlier demo.

    Raises
    ------
    ConfigError
        If the folder holds something else.
    """
    if out.exists() and any(out.iterdir()) and not (out / MARKER).exists():
        raise ConfigError(
            f"--out {out}: holds files that no demo has made: choose another"
        )
    for name in ("images", "templates", "differences", ARCHIVE):
        shutil.rmtree(out / name, ignore_errors=True)
    for path in out.glob(f"{CATALOGUE}*"):  # SQLite has files beside it
        path.unlink()
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).touch()


def _table(figures: Figures) -> Table:
    table = Table(title="All visits against the truth", box=None)
    for heading in ("ideal S/N", "true", "found", "completeness"):
        table.add_column(heading, justify="right")
    for low, high, found, n in figures.completeness:
        share = f"{found / n:.1%}" if n else "-"
        table.add_row(snr_range(low, high), str(n), str(found), share)
    return table


def _told(out: Path, figures: Figures) -> dict[str, object]:
    return {
        "directory": out,
        "report": out / REPORT,
        "alerts": out / ALERTS,
        "archive": out / ARCHIVE,
        **figures.as_json(),
    }
