"""``streamdiff train-reliability``: simulated fields -> a model of reliability."""

from io import BytesIO
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from streamdiff import __version__
from streamdiff.adapters.whole_file import write_whole
from streamdiff.app.training import Trainer
from streamdiff.cli.json_output import json_option, print_json
from streamdiff.cli.options import ReadPath
from streamdiff.cli.progress import shown_progress
from streamdiff_reliability.model import ReliabilityModel

# Fractions of real changes to keep.
KEPT = (0.995, 0.99, 0.98, 0.95, 0.90)
PHASE = "fields"


@click.command("train-reliability")
@click.option("-o", "--output", type=ReadPath, required=True, help="Model, an npz.")
@click.option("--fields", default=60, type=click.IntRange(1), help="To learn from.")
@click.option("--held-out", default=12, type=click.IntRange(1), help="To judge by.")
@click.option("--seed", default=0, type=click.IntRange(0), help="Of simulated fields.")
@click.option("--processes", default=1, type=click.IntRange(1), help="At once.")
@click.option("--name", default=__version__, help="Version of the model.")
@json_option
def command(
    output: Path,
    fields: int,
    held_out: int,
    seed: int,
    processes: int,
    name: str,
    *,
    as_json: bool,
) -> None:
    """Train a model of reliability on simulated fields.

    It learns from what the configured measurers and the subtractor 'al' make of
    changes and of artifacts, and is judged on other fields. Use it with
    ``[plugins.score.features] model``. Needs the extra 'train'.
    """
    console = Console(stderr=as_json)
    trainer = Trainer(
        seed=seed, n_fields=fields, n_held_out=held_out, processes=processes
    )
    with shown_progress(console) as progress:
        progress.begin(PHASE, fields + held_out)
        model = trainer.train(name, lambda done: progress.advance(PHASE, done))
    file = BytesIO()
    model.save(file)
    write_whole(output, file.getvalue())
    if as_json:
        print_json({"output": output, "name": name, "held_out": _points(model)})
        return
    console.print(roc_table(model))
    console.print(f"{output}: model {name}")


def _points(model: ReliabilityModel) -> list[dict[str, float]]:
    points = ((kept, *model.working_point(kept)) for kept in KEPT)
    return [
        {"real_kept": kept, "artifacts_dropped": dropped, "reliability": threshold}
        for kept, threshold, dropped in points
    ]


def roc_table(model: ReliabilityModel) -> Table:
    """Return what a model keeps and drops of held-out simulations."""
    table = Table(title="On held-out fields", box=None)
    for heading in ("real kept", "artifacts dropped", "reliability at least"):
        table.add_column(heading, justify="right")
    for kept in KEPT:
        threshold, dropped = model.working_point(kept)
        table.add_row(f"{kept:.1%}", f"{dropped:.1%}", f"{threshold:.3f}")
    return table
