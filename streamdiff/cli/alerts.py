"""``streamdiff alerts``: show, compare and report alerts that were written."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

import click
from rich.console import Console

from streamdiff.app.alerts.comparison import MAX_RADIUS_ARCSEC, Rules, compare
from streamdiff.app.alerts.reading import AlertFiles, Record, VisitDetector
from streamdiff.app.alerts.result import Comparison
from streamdiff.app.alerts.selection import Selection, without_images
from streamdiff.app.alerts.tolerances import Tolerance
from streamdiff.cli.alert_tables import comparison_tables, list_table
from streamdiff.cli.json_output import json_option, print_json, print_json_rows
from streamdiff.cli.options import ReadPath

# Containers, event logs, or folders of them.
AlertsPath = click.Path(path_type=Path)
DIFFERENT = 1
_MAX_NAMED = 5

_visit = click.option("--visit", type=int, help="Alerts of this visit.")
_detector = click.option("--detector", type=int, help="Alerts of this detector.")
_min_snr = click.option("--min-snr", type=float, help="Least significance.")
_object = click.option(
    "--object", "dia_object", type=int, help="Alerts of this DiaObject."
)
_topic = click.option("--topic", help="Topic of alerts in event logs.")


@click.group("alerts")
def command() -> None:
    """Show, compare and report alerts: containers, folders of them, event logs."""


@command.command("show")
@click.argument("files", type=AlertsPath, nargs=-1, required=True)
@_visit
@_detector
@_min_snr
@_object
@click.option(
    "--id", "dia_source", type=int, help="This alert in full, by its diaSourceId."
)
@_topic
@click.option(
    "--limit", type=click.IntRange(min=0), help="Most alerts to show; 0 for all."
)
@json_option
def show(
    files: tuple[Path, ...],
    visit: int | None,
    detector: int | None,
    min_snr: float | None,
    dia_object: int | None,
    dia_source: int | None,
    topic: str | None,
    limit: int | None,
    *,
    as_json: bool,
) -> int:
    """List the alerts in FILES; by default the first 100, with --json all.

    With --id: values, flags, cutouts and earlier fluxes of one alert. With --object:
    the light curve of a DiaObject, from the histories of all its alerts.
    """
    selection = Selection(
        visit=visit,
        detector=detector,
        min_snr=min_snr,
        dia_object=dia_object,
        dia_source=dia_source,
    )
    records = selection.alerts(AlertFiles(paths=files, topic=topic))
    if as_json:
        print_json_rows(map(without_images, islice(records, limit or None)))
        return 0
    if dia_source is not None:
        return _print_details(records, dia_source)
    if dia_object is not None:
        return _print_object(records, dia_object)
    _print_list(records, limit)
    return 0


def _print_list(records: Iterator[Record], limit: int | None) -> None:
    most = 100 if limit is None else limit
    shown = list(map(_without_cutouts, islice(records, most or None)))
    console = _console()
    console.print(list_table(shown, console.width))
    rest = sum(1 for _ in records)
    total = len(shown) + rest
    click.echo(f"{len(shown)} of {total} alerts" if rest else f"{total} alerts")


def _print_details(records: Iterator[Record], dia_source: int) -> int:
    """Print an alert in full; return 1 if there is none."""
    # What lists alerts is not to wait for what draws them.
    from streamdiff.cli.alert_details import alert_details  # noqa: PLC0415

    record = next(records, None)
    if record is None:
        click.echo(f"There is no alert {dia_source}.", err=True)
        return 1
    console = _console()
    console.print(alert_details(record, console))
    return 0


def _print_object(records: Iterator[Record], dia_object: int) -> int:
    """Print the light curve of a DiaObject; return 1 if there is no alert of it."""
    from streamdiff.cli.alert_details import object_details  # noqa: PLC0415

    first = next(records, None)
    if first is None:
        click.echo(f"There is no alert of DiaObject {dia_object}.", err=True)
        return 1
    console = _console()
    console.print(object_details(dia_object, chain([first], records), console))
    return 0


@command.command("compare")
@click.argument("a", type=AlertsPath)
@click.argument("b", type=AlertsPath)
@click.option(
    "--radius-arcsec",
    default=Rules().radius_arcsec,
    show_default=True,
    help=f"Largest distance of two alerts that are one, up to {MAX_RADIUS_ARCSEC:g}.",
)
@click.option(
    "--tolerance",
    "tolerances",
    multiple=True,
    metavar="FIELD=VALUE(abs|rel|sigma)",
    help="Difference that is none yet, such as psfFlux=0.01rel; *Flux works, too.",
)
@click.option(
    "--ignore", "ignored", multiple=True, metavar="FIELD", help="Do not compare it."
)
@click.option(
    "--live-order",
    is_flag=True,
    help="Count fields that depend on the order of processing.",
)
@click.option("--topic-a", help="Topic of alerts, where A is an event log.")
@click.option("--topic-b", help="Topic of alerts, where B is an event log.")
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for pages of what was lost and is new.",
)
@json_option
def compare_alerts(
    a: Path,
    b: Path,
    radius_arcsec: float,
    tolerances: tuple[str, ...],
    ignored: tuple[str, ...],
    topic_a: str | None,
    topic_b: str | None,
    pictures: Path | None,
    *,
    live_order: bool,
    as_json: bool,
) -> int:
    """Tell how the alerts of B differ from those of A.

    Alerts of one visit and detector that are near each other are one. Exit code 0:
    they are the same; 1: they differ; 2: the call can not be meant.
    """
    rules = Rules(
        radius_arcsec=radius_arcsec,
        tolerances=tuple(map(Tolerance.parse, tolerances)),
        ignored=ignored,
        live_order_counts=live_order,
    )
    sources = (
        AlertFiles(paths=(a,), topic=topic_a),
        AlertFiles(paths=(b,), topic=topic_b),
    )
    found = compare(*sources, rules)
    sheets: tuple[Path, ...] = ()
    if pictures is not None:
        # What draws nothing is not to wait for matplotlib.
        from streamdiff.app.alerts.sheets import write_sheets  # noqa: PLC0415

        sheets = write_sheets(pictures, found, *sources)
    if as_json:
        print_json(found.as_json() | {"pictures": sheets})
    else:
        print_comparison(found)
        if sheets:
            click.echo(f"Pictures: {len(sheets)} pages in {pictures}")
    return 0 if found.is_same else DIFFERENT


@command.command("report")
@click.argument("files", type=AlertsPath, nargs=-1, required=True)
@click.option("-o", "--output", type=ReadPath, required=True, help="HTML file.")
@_visit
@_detector
@_min_snr
@_object
@_topic
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Most alerts to show; light curves have the fluxes of all.",
)
@json_option
def report(
    files: tuple[Path, ...],
    output: Path,
    visit: int | None,
    detector: int | None,
    min_snr: float | None,
    dia_object: int | None,
    topic: str | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """Write a page on the alerts in FILES: pictures, measurements, light curves."""
    from streamdiff.app.alerts.report import write_report  # noqa: PLC0415

    selection = Selection(
        visit=visit, detector=detector, min_snr=min_snr, dia_object=dia_object
    )
    records = selection.alerts(AlertFiles(paths=files, topic=topic))
    n_shown = write_report(output, records, limit=limit)
    if as_json:
        print_json({"output": output, "n_alerts": n_shown})
    else:
        click.echo(f"{output}: {n_shown} alerts")


@command.command("export")
@click.argument("files", type=AlertsPath, nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=ReadPath,
    required=True,
    help="Ends in .parquet, or in .vot or .xml for a VOTable.",
)
@_visit
@_detector
@_min_snr
@_object
@_topic
@json_option
def export(
    files: tuple[Path, ...],
    output: Path,
    visit: int | None,
    detector: int | None,
    min_snr: float | None,
    dia_object: int | None,
    topic: str | None,
    *,
    as_json: bool,
) -> None:
    """Write the DiaSources of the alerts in FILES as a table for other programs."""
    from streamdiff.app.alerts.export import write_table  # noqa: PLC0415

    selection = Selection(
        visit=visit, detector=detector, min_snr=min_snr, dia_object=dia_object
    )
    records = selection.alerts(AlertFiles(paths=files, topic=topic))
    n_written = write_table(output, records)
    if as_json:
        print_json({"output": output, "n_dia_sources": n_written})
    else:
        click.echo(f"{output}: {n_written} DiaSources")


def print_comparison(found: Comparison) -> None:
    """Print the tables about a comparison, and what it comes to."""
    console = _console()
    for table in comparison_tables(found):
        console.print(table)
        console.print()
    for line in _conclusions(found):
        click.echo(line)


def _console() -> Console:
    """Return a console that prints text as it is, whatever is in brackets."""
    return Console(markup=False, emoji=False, highlight=False)


def _conclusions(found: Comparison) -> Iterator[str]:
    for side, exposures in (("A", found.only_a), ("B", found.only_b)):
        if exposures:
            n_alerts = sum(exposures.values())
            yield (
                f"Only {side} has {_listed(exposures)}: {n_alerts} alerts, neither "
                "lost nor new."
            )
    for side, n in (("A", found.repeated_a), ("B", found.repeated_b)):
        if n:
            yield f"{side} repeats {n} alerts; each counts once."
    counts, completeness = found.counts, found.completeness
    if counts.n_lost or counts.n_new:
        yield (
            f"Of {counts.n_either} alerts A has {completeness.share_a:.1%}, B "
            f"{completeness.share_b:.1%}; {counts.n_lost} lost against {counts.n_new} "
            f"new has p {_probability(completeness.p_value)} (exact McNemar test)."
        )
    yield "The alerts are the same." if found.is_same else "The alerts differ."


def _probability(p_value: float) -> str:
    return f"= {p_value:.2g}" if p_value else "< 1e-300"


def _listed(exposures: Iterable[VisitDetector]) -> str:
    names = [f"{visit}/{detector}" for visit, detector in exposures]
    rest = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return f"visit/detector {', '.join(names[:_MAX_NAMED])}{rest}"


def _without_cutouts(record: Record) -> Record:
    return {n: v for n, v in record.items() if not isinstance(v, bytes)}
