"""``streamdiff demo``: the whole of it, on a simulated survey."""

import shutil
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from streamdiff import log
from streamdiff.app.demo.report import BRIGHT, write_report
from streamdiff.app.demo.run import DemoResult, run_demo
from streamdiff.app.demo.score import SNR_BINS, completeness
from streamdiff.app.environment import find_plugins
from streamdiff.cli.progress import shown_progress
from streamdiff.errors import ConfigError, StreamdiffError
from streamdiff.testing import Survey

# Says that a folder was made by a demo.
MARKER = ".streamdiff-demo"


@click.command("demo")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("streamdiff-demo"),
    help="Folder of the results; an earlier demo in it is replaced.",
)
@click.option("--seed", default=0, help="Of the simulated sky.")
def command(out: Path, seed: int) -> None:
    """Simulate a survey, process its events, and compare alerts with the truth."""
    console = Console()
    clear_folder(out)
    log.configure(level="warning")
    with shown_progress(console) as progress:
        result = run_demo(out, Survey(seed=seed), find_plugins(), progress)
    summary = _summary(result)
    write_report(out / "report.html", result, summary)
    console.print(_table(result))
    console.print(summary)
    console.print(f"Pictures: {out / 'report.html'}; alerts: {out / 'alerts.avro'}")
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
    for name in ("images", "templates", "differences"):
        shutil.rmtree(out / name, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).touch()


def _table(result: DemoResult) -> Table:
    table = Table(title="All visits against the truth", box=None)
    for heading in ("ideal S/N", "true", "found", "completeness"):
        table.add_column(heading, justify="right")
    for low, high in SNR_BINS:
        found, n = completeness(result.scores, low, high)
        share = f"{found / n:.1%}" if n else "-"
        table.add_row(f"{low:g} - {high:g}", str(n), str(found), share)
    return table


def _summary(result: DemoResult) -> str:
    found, n = completeness(result.scores, BRIGHT)
    n_false = sum(len(score.false_ids) for score in result.scores)
    latency = np.median([score.latency_s for score in result.scores])
    work = np.median([sum(r.stage_seconds.values()) for r in result.reports.values()])
    return (
        f"{len(result.scores)} visits and {result.n_templates} templates processed; "
        f"{result.n_read} of {result.n_produced} alerts read. Found {found} of {n} "
        f"changes with S/N >= {BRIGHT:g} ({found / max(n, 1):.1%}); "
        f"{n_false} false alerts, {n_false / result.megapixels:.2f} per megapixel. "
        f"A visit took {work:.1f} s, from its event to its report {latency:.1f} s "
        "(medians)."
    )
