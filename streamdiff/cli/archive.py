"""``streamdiff archive``: record topics, verify and list what was recorded."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from streamdiff import log
from streamdiff.adapters.archive.folder import RollLimits
from streamdiff.adapters.archive.index import Entry
from streamdiff.adapters.archive.listing import (
    LogSummary,
    Selection,
    list_logs,
    list_visits,
)
from streamdiff.adapters.archive.verify import PartitionReport, Verification, verify
from streamdiff.adapters.event_log import log_files
from streamdiff.app.environment import read_settings
from streamdiff.app.recording import record as record_topics
from streamdiff.app.recording import recorded_topics
from streamdiff.app.service import kafka_transport
from streamdiff.cli.archive_report import night_lines
from streamdiff.cli.json_output import json_option, print_json, print_json_rows
from streamdiff.cli.options import ReadPath, utc_text, utc_time

LogPath = click.Path(path_type=Path)
Positive = click.FloatRange(min=0, min_open=True)
ROWS_AT_ONCE = 500  # one table of these at a time: memory stays flat
WIDTH = 160
FAILED = 1


@click.group("archive")
def command() -> None:
    """Record topics, verify and list what was recorded."""


@command.command("record")
@click.option("-c", "--config", "path", type=ReadPath, required=True, help="TOML file.")
@click.option("--out", type=LogPath, required=True, help="Folder of the archive.")
@click.option("--topic", "names", multiple=True, help="Instead of all; repeatable.")
@click.option("--max-mib", type=Positive, default=256.0, help="Size of a log.")
@click.option("--max-minutes", type=Positive, default=60.0, help="Age of a log.")
@click.option("--until-idle", type=Positive, help="End after so many quiet seconds.")
@click.option(
    "--accept-gaps",
    is_flag=True,
    help="Go on where the group stands, though records before it are missing.",
)
@json_option
def record(
    path: Path,
    out: Path,
    names: tuple[str, ...],
    max_mib: float,
    max_minutes: float,
    until_idle: float | None,
    *,
    accept_gaps: bool,
    as_json: bool,
) -> None:
    """Record topics as they are, until SIGTERM; a new start goes on from there."""
    settings = read_settings(path)
    log.configure()
    records, logs = record_topics(
        settings,
        kafka_transport(settings),
        out,
        topics=recorded_topics(settings, names),
        limits=RollLimits(size_mib=max_mib, age_s=60 * max_minutes),
        until_idle_s=math.inf if until_idle is None else until_idle,
        accept_gaps=accept_gaps,
    )
    if as_json:
        print_json({"out": out, "records": records, "logs": logs})
    else:
        click.echo(f"{out}: {records} records in {logs} logs")


@command.command("verify")
@click.argument("logs", type=LogPath, nargs=-1, required=True)
@json_option
def verify_logs(logs: tuple[Path, ...], *, as_json: bool) -> int:
    """Check LOGS, files or folders: blocks, checksums, order of offsets."""
    found = verify(log_files(logs))
    if as_json:
        print_json(_verification_values(found))
    else:
        _print_verification(found)
    return 0 if found.is_whole else FAILED


@command.command("list")
@click.argument("logs", type=LogPath, nargs=-1, required=True)
@click.option("--visit", type=int)
@click.option("--detector", type=int)
@click.option("--band")
@click.option("--topic", help="With or without its prefix.")
@click.option("--since", type=utc_time, help="Of records: 2026-11-27T20:00, UTC.")
@click.option("--until", type=utc_time, help="The end of that, not included.")
@click.option("--files", is_flag=True, help="Log by log instead of by visit.")
@click.option("--limit", type=click.IntRange(min=0), default=0, help="Rows; 0: all.")
@json_option
def list_records(
    logs: tuple[Path, ...],
    visit: int | None,
    detector: int | None,
    band: str | None,
    topic: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    *,
    files: bool,
    as_json: bool,
) -> None:
    """List what is in LOGS, files or folders, by visit, detector, band and topic."""
    paths = log_files(logs)
    selection = Selection(
        visit=visit,
        detector=detector,
        band=band,
        topic=topic,
        since_ms=_ms(since),
        until_ms=_ms(until),
    )
    rows = (
        map(_log_row, list_logs(paths))
        if files
        else map(_visit_row, list_visits(paths, selection))
    )
    chosen = islice(rows, limit or None)
    if as_json:
        print_json_rows(chosen)
    else:
        _print_tables(chosen)


@command.command("report")
@click.argument("logs", type=LogPath, nargs=-1, required=True)
@click.option("-o", "--output", type=ReadPath, help="HTML file.")
@click.option("--since", type=utc_time, help="Of records: 2026-11-27T20:00, UTC.")
@click.option("--until", type=utc_time, help="The end of that, not included.")
@click.option(
    "--results",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="[output] directory, for completeness by signal over noise.",
)
@json_option
def report(
    logs: tuple[Path, ...],
    output: Path | None,
    since: datetime | None,
    until: datetime | None,
    results: Path | None,
    *,
    as_json: bool,
) -> None:
    """Tell how good the results of a night were, from its LOGS, files or folders.

    Outcomes, latency, completeness by injection, noise, PSFs, kernels, templates and
    dead letters: as a page, in a few lines, or as JSON.
    """
    from streamdiff.app.night.archive import read_night  # noqa: PLC0415
    from streamdiff.app.night.summary import summary  # noqa: PLC0415
    from streamdiff.app.replay.completeness import (  # noqa: PLC0415
        completeness,
        read_recovery,
    )

    night = read_night(logs, since_ms=_ms(since), until_ms=_ms(until))
    curve = () if results is None else completeness(read_recovery(results))
    found = summary(night, curve)
    if output is not None:
        # What draws nothing is not to wait for matplotlib.
        from streamdiff.app.night.report import write_night  # noqa: PLC0415

        write_night(output, night, found)
    if as_json:
        print_json(found.as_json() | {"output": output})
        return
    for line in night_lines(found):
        click.echo(line)
    if output is not None:
        click.echo(f"Page: {output}")


def _ms(time: datetime | None) -> int | None:
    return None if time is None else round(time.timestamp() * 1000)


def _visit_row(entry: Entry) -> dict[str, Any]:
    subject = entry.subject
    return {
        "visit": subject.visit,
        "detector": subject.detector,
        "band": subject.band,
        "instrument": subject.instrument,
        "topic": subject.topic,
        "records": entry.records,
        "first": utc_text(entry.first_ms),
        "last": utc_text(entry.last_ms),
    }


def _log_row(summary: LogSummary) -> dict[str, Any]:
    return {
        "log": str(summary.path),
        "index": summary.has_index,
        "records": summary.records,
        "bytes": summary.size,
        "partitions": len(summary.spans),
        "first": utc_text(summary.first_ms),
        "last": utc_text(summary.last_ms),
    }


def _wide_console() -> Console:
    """Return a console that does not fold rows where there is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


def _print_tables(rows: Iterator[dict[str, Any]]) -> None:
    console, shows_header = _wide_console(), True
    while some := list(islice(rows, ROWS_AT_ONCE)):
        table = Table(*some[0], box=None, show_header=shows_header)
        for row in some:
            table.add_row(*("" if v is None else str(v) for v in row.values()))
        console.print(table)
        shows_header = False
    if shows_header:
        click.echo("nothing")


def _verification_values(found: Verification) -> dict[str, Any]:
    return {
        "ok": found.is_whole,
        "records": sum(file.records for file in found.files),
        "files": [asdict(file) for file in found.files],
        "partitions": [asdict(partition) for partition in found.partitions],
    }


def _print_verification(found: Verification) -> None:
    console = _wide_console()
    files = Table("log", "state", "records", "blocks", "bytes", "cut bytes", box=None)
    for file in found.files:
        numbers = (file.records, file.blocks, file.size, file.cut_bytes)
        files.add_row(file.path.name, file.state, *map(str, numbers))
    console.print(files)
    columns = ("topic", "partition", "first", "last", "records", "gaps")
    partitions = Table(*columns, box=None)
    for p in found.partitions:
        numbers = (p.partition, p.first_offset, p.last_offset, p.records)
        partitions.add_row(p.topic, *map(str, numbers), _gaps_text(p))
    console.print(partitions)
    for file in found.files:
        for problem in file.problems:
            click.echo(f"damaged: {problem}")
    click.echo("whole" if found.is_whole else "damaged")


def _gaps_text(partition: PartitionReport) -> str:
    """Return the gaps of a partition in words."""
    told = [
        (partition.markers, "of 1 (ends of transactions)"),
        (partition.within, "within a recording (aborted, or compacted)"),
        (partition.between, "between recordings"),
    ]
    parts = [f"{number} {kind}" for number, kind in told if number]
    if partition.missing:
        largest = max(partition.gaps, key=lambda gap: (not gap.within, gap.size))
        parts.append(
            f"{partition.missing} missing, such as {largest.first}-{largest.last}"
        )
    return ", ".join(parts) or "none"
