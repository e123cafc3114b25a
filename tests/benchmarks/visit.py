"""What a whole visit costs, from FITS to alerts, stage by stage.

``python tests/benchmarks/visit.py`` simulates fields of 1024, 2048 and 4096 px, makes
their templates, and processes a visit of each with every subtractor, with kernels that
are constant and that vary, in one thread and in two: each case in a process of its
own, the visit several times. It prints the medians in seconds and fft units (one
`scipy.fft.rfft2` of 4096 x 4096 float32 in one thread, in the same process), the
largest resident memory of the first visit and of those after it, and how the time
grows with the number of pixels.

``-o FOLDER`` also writes ``visit.json`` and ``visit.png``, the time of every stage;
``compare BEFORE.json AFTER.json`` shows what a change did.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from math import log
from pathlib import Path
from statistics import median

import click
import numpy as np
import scipy.fft
from rich.console import Console
from rich.table import Table

from streamdiff import log as logs
from streamdiff.adapters.avro.events import decode_event, encode_event, message_key
from streamdiff.adapters.worker_process import worker_environment
from streamdiff.app.demo.files import template_update, write_exposures
from streamdiff.app.topics import Topics
from streamdiff.app.worker import make_handler
from streamdiff.config import from_tree
from streamdiff.ports import ConsumedRecord, OutgoingRecord, WorkOrder
from streamdiff.testing import Survey

SIDES = (1024, 2048, 4096)
UNIT_SIDE = 4096
TOPICS = Topics("streamdiff.")
# What makes a subtractor's kernel the same everywhere.
CONSTANT = {"al": {"kernel_order": 0}, "zogy": {"variation": "constant"}}
VARYING = {"al": {}, "zogy": {"variation": "cells"}}
MIB = 1024


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is measured in one process."""

    side: int
    subtract: str
    varying: bool
    threads: int

    def __str__(self) -> str:
        kernel = "varying" if self.varying else "constant"
        return f"{self.subtract} {kernel}, {self.side} px, {self.threads} thread(s)"


def settings(folder: Path, case: Case):
    options = (VARYING if case.varying else CONSTANT)[case.subtract]
    return from_tree(
        {
            "stream": {"transport": "memory", "http": ""},
            "store": {"uri": (folder / "templates").as_uri()},
            "input": {"roots": [(folder / "images").as_uri()]},
            "pipeline": {"subtract": case.subtract},
            "plugins": {"subtract": {case.subtract: options}},
        }
    )


def simulate(folder: Path, side: int) -> None:
    """Write the images of a field and its templates."""
    survey = Survey(
        shape=(side, side), n_epochs=3, n_visits=1, rotation_deg=0.5, seed=side
    )
    write = partial(write_exposures, folder=folder / "images", tick=lambda: None)
    (visit,) = write(survey.visits())
    update = template_update(list(write(survey.template_exposures())))
    (folder / "visit.avro").write_bytes(encode_event(visit))
    case = Case(side=side, subtract="al", varying=True, threads=1)
    handler = make_handler(settings(folder, case))
    expanded = answer(handler, TOPICS.template_update, update)
    for record in expanded.records:  # an update of each patch
        handler(WorkOrder(record=consumed(record), attempt=1))


def answer(handler, topic: str, event, offset: int = 0):
    """Return what a handler makes of an event."""
    sent = OutgoingRecord(
        topic=topic, key=message_key(event), value=encode_event(event)
    )
    return handler(WorkOrder(record=consumed(sent, offset), attempt=1))


def consumed(sent: OutgoingRecord, offset: int = 0) -> ConsumedRecord:
    """Return a record as it would come from the stream."""
    return ConsumedRecord(
        topic=sent.topic, partition=0, offset=offset, key=sent.key, value=sent.value
    )


def measure(folder: Path, case: Case, repeats: int) -> dict:
    """Return what a case costs; called in a process of its own."""
    logs.configure(level="error")
    handler = make_handler(settings(folder, case))
    value = (folder / "visit.avro").read_bytes()
    sent = OutgoingRecord(topic=TOPICS.visit_ready, key=None, value=value)
    event = decode_event(consumed(sent))
    units, totals, stages, peaks = [], [], [], []
    with scipy.fft.set_workers(case.threads):
        for number in range(repeats + 1):
            again = replace(event, event_id=f"{event.event_id}/{number}")
            began = time.perf_counter()
            done = answer(handler, TOPICS.visit_ready, again, number)
            totals.append(time.perf_counter() - began)
            stages.append(dict(done.stage_seconds))
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB)
            units += unit_seconds()
    seconds = {name: median(s[name] for s in stages[1:]) for name in stages[-1]}
    total = median(totals[1:])
    seconds["decoding, encoding"] = total - sum(seconds.values())
    return {
        "outcome": f"{done.outcome} {done.reason or ''}".strip(),
        "n_alerts": done.log.get("n_alerts"),
        "unit_s": median(units),
        "first_s": totals[0],
        "seconds": total,
        "stages": seconds,
        "peak_mib": peaks[0],
        "later_mib": peaks[-1],
    }


def unit_seconds() -> list[float]:
    """Return what a fft unit takes, a few times; the plane takes memory meanwhile."""
    noise = np.random.default_rng(0)
    plane = noise.standard_normal((UNIT_SIDE, UNIT_SIDE), np.float32)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        scipy.fft.rfft2(plane, workers=1)
        seconds.append(time.perf_counter() - began)
    return seconds


def measured(folder: Path, case: Case, repeats: int) -> dict:
    """Return what `measure` tells of a case in a new process."""
    environment = os.environ | worker_environment(case.threads)
    options = [f"--side={case.side}", f"--subtract={case.subtract}"]
    options += [f"--threads={case.threads}", f"--repeats={repeats}"]
    options += ["--varying"] if case.varying else ["--constant"]
    command = [sys.executable, __file__, "one", str(folder), *options]
    done = subprocess.run(  # noqa: S603 - this very program
        command, env=environment, check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def tell(results: list[dict], console: Console) -> None:
    """Print a table of all cases, and one of their stages in fft units."""
    heads = ("case", "s", "fft units", "MiB, first", "later", "alerts", "first s")
    table = Table(*heads, box=None)
    for result in results:
        units = result["seconds"] / result["unit_s"]
        table.add_row(
            result["case"],
            f"{result['seconds']:.2f}",
            f"{units:.1f}",
            f"{result['peak_mib']:.0f}",
            f"{result['later_mib']:.0f}",
            f"{result['n_alerts']}",
            f"{result['first_s']:.2f}",
        )
    console.print(table)
    names = list(dict.fromkeys(n for r in results for n in r["stages"]))
    stages = Table("stage [fft units]", *(r["case"] for r in results), box=None)
    for name in names:
        values = [r["stages"].get(name, 0.0) / r["unit_s"] for r in results]
        stages.add_row(name, *(f"{value:.2f}" for value in values))
    console.print(stages)
    for first, second in growing(results):
        factor = second["seconds"] / first["seconds"]
        power = log(factor) / log((second["side"] / first["side"]) ** 2)
        console.print(
            f"{second['case']}: {factor:.1f} times {first['side']} px: pixels"
            f" to the power of {power:.2f}"
        )


def growing(results: list[dict]) -> Iterator[tuple[dict, dict]]:
    """Yield the smallest and the largest of cases that differ in size alone."""
    kinds = {}
    for result in results:
        key = (result["subtract"], result["varying"], result["threads"])
        kinds.setdefault(key, []).append(result)
    for same in kinds.values():
        by_side = sorted(same, key=lambda result: result["side"])
        if by_side[0]["side"] < by_side[-1]["side"]:
            yield by_side[0], by_side[-1]


def draw(results: list[dict], path: Path) -> None:
    """Draw the time of the stages of every case; those that take little as one."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow, and seldom wanted

    figure = Figure(figsize=(10, 0.5 * len(results) + 2), layout="constrained")
    axes = figure.subplots()
    large = [
        n for r in results for n, s in r["stages"].items() if s > 0.01 * r["seconds"]
    ]
    names = [*dict.fromkeys(large), "others"]
    left = np.zeros(len(results))
    for name in names:
        widths = np.array([seconds_of(r, name, names) / r["unit_s"] for r in results])
        axes.barh([r["case"] for r in results], widths, left=left, label=name)
        left += widths
    axes.invert_yaxis()
    axes.set_xlabel("fft units")
    figure.legend(fontsize="small", ncols=5, loc="outside upper center")
    figure.savefig(path)


def seconds_of(result: dict, name: str, named: list[str]) -> float:
    """Return the time of a stage, or of all that have no name of their own [s]."""
    if name in result["stages"]:
        return result["stages"][name]
    return result["seconds"] - sum(
        seconds for stage, seconds in result["stages"].items() if stage in named
    )


@contextmanager
def simulated(keep: Path | None) -> Iterator[Path]:
    """Give the folder of the fields."""
    if keep is not None:
        yield keep
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@click.group(invoke_without_command=True, help=__doc__)
@click.option("--side", "sides", multiple=True, type=int, default=SIDES)
@click.option("--subtract", "subtractors", multiple=True, default=("al", "zogy"))
@click.option("--kernel", multiple=True, default=("constant", "varying"))
@click.option("--threads", multiple=True, type=int, default=(1, 2))
@click.option("--repeats", default=5)
@click.option("--fields", type=click.Path(path_type=Path), help="Kept, and used again.")
@click.option("-o", "out", type=click.Path(path_type=Path))
@click.pass_context
def main(context, sides, subtractors, kernel, threads, repeats, fields, out) -> None:
    if context.invoked_subcommand:
        return
    console = Console(width=200)
    results = []
    with simulated(fields) as folder:
        for side in sides:
            if not (folder / str(side) / "visit.avro").exists():
                simulate(folder / str(side), side)
            for subtract, kind, n in product(subtractors, kernel, threads):
                case = Case(
                    side=side, subtract=subtract, varying=kind == "varying", threads=n
                )
                told = measured(folder / str(side), case, repeats)
                results.append({"case": str(case), **vars(case), **told})
                console.print(f"{case}: {told['outcome']}")
    tell(results, console)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "visit.json").write_text(json.dumps(results, indent=1))
        draw(results, out / "visit.png")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--side", type=int)
@click.option("--subtract")
@click.option("--varying/--constant")
@click.option("--threads", type=int)
@click.option("--repeats", type=int)
def one(folder, repeats, **case) -> None:
    """Measure one case, and print JSON."""
    click.echo(json.dumps(measure(folder, Case(**case), repeats)))


@main.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
def compare(before, after) -> None:
    """Show what a change did, in fft units and memory."""
    old = {result["case"]: result for result in json.loads(before.read_text())}
    table = Table("case", "stage", "before", "after", "ratio", box=None)
    for new in json.loads(after.read_text()):
        if new["case"] not in old:
            continue
        was = old[new["case"]]
        rows = {"whole visit": (was["seconds"], new["seconds"])}
        rows |= {n: (was["stages"].get(n, 0), t) for n, t in new["stages"].items()}
        for name, (one_s, other_s) in rows.items():
            units = one_s / was["unit_s"], other_s / new["unit_s"]
            table.add_row(new["case"], name, *ratio(*units, digits=2))
        sizes = ratio(was["peak_mib"], new["peak_mib"], digits=0)
        table.add_row(new["case"], "MiB", *sizes)
    Console(width=140).print(table)


def ratio(before: float, after: float, *, digits: int) -> tuple[str, str, str]:
    """Return two figures and their ratio as text."""
    times = f"{after / before:.2f}" if before else ""
    return f"{before:.{digits}f}", f"{after:.{digits}f}", times


if __name__ == "__main__":
    main()
