"""Tables about alerts that fit the terminal."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from rich.table import Table

from streamdiff.app.alerts.differences import FieldDifference
from streamdiff.app.alerts.fields import Group, Value, short_name
from streamdiff.app.alerts.reading import Record, VisitDetector
from streamdiff.app.alerts.result import AlertName, Comparison, Counts
from streamdiff.app.alerts.selection import true_flags

# Rows of each table about a comparison; JSON has all.
MAX_FIELDS = 6  # of one alert
MAX_ROWS = 20
# Characters of a long text that are shown, and how many before the difference.
_EXCERPT, _CONTEXT = 26, 8


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the list of alerts.

    Attributes
    ----------
    heading : str
    width : int
        Characters that it takes.
    text : callable
        Its text for an alert.
    """

    heading: str
    width: int
    text: Callable[[Record], str]


def _source(name: str, form: str = "") -> Callable[[Record], str]:
    """Return what writes a field of the DiaSource; nothing where it is missing."""

    def text(record: Record) -> str:
        value = record["diaSource"].get(name)
        return "" if value is None else format(value, form)

    return text


def _what(record: Record) -> str:
    """Return what an alert is beyond a new point source, in a word or two."""
    source = record["diaSource"]
    words = ("fainter" if source.get("isNegative") else "", *_kinds(source))
    return " ".join(word for word in words if word)


def _kinds(source: Mapping[str, Any]) -> Iterator[str]:
    if source.get("isDipole"):
        yield "dipole"
    if source.get("glint_trail"):
        yield "glint"


# The most useful first: those that the terminal is too narrow for are left out.
_COLUMNS = (
    _Column("visit", 13, _source("visit")),
    _Column("det", 3, _source("detector")),
    _Column("band", 4, _source("band")),
    _Column("RA", 10, _source("ra", ".5f")),
    _Column("Dec", 9, _source("dec", "+.5f")),
    _Column("S/N", 7, _source("snr", ".1f")),
    _Column("psfFlux", 9, _source("psfFlux", ".4g")),
    _Column("error", 8, _source("psfFluxErr", ".3g")),
    _Column("diaSourceId", 19, lambda record: str(record["diaSourceId"])),
    _Column("what", 14, _what),
    _Column("reliability", 11, _source("reliability", ".2f")),
    _Column("MJD", 12, _source("midpointMjdTai", ".5f")),
    _Column("x", 7, _source("x", ".1f")),
    _Column("y", 7, _source("y", ".1f")),
    _Column("diaObjectId", 19, _source("diaObjectId")),
    _Column("flags", 30, lambda record: " ".join(true_flags(record["diaSource"]))),
)
_TEXT = frozenset({"band", "what", "flags"})
_GAP = 1


def list_table(records: Iterable[Record], width: int) -> Table:
    """Return a list of alerts with as many columns as fit."""
    columns: list[_Column] = []
    left = width
    for column in _COLUMNS:
        left -= max(column.width, len(column.heading)) + _GAP
        if left < 0:
            break
        columns.append(column)
    table = Table(box=None, padding=(0, _GAP, 0, 0))
    for column in columns:
        justify = "left" if column.heading in _TEXT else "right"
        table.add_column(column.heading, justify=justify)  # type: ignore[arg-type]
    for record in records:
        table.add_row(*(column.text(record) for column in columns))
    return table


def comparison_tables(found: Comparison) -> Iterator[Table]:
    """Yield the tables about a comparison, those without rows left out."""
    yield _counts_table(found)
    measured = [*found.fields[Group.MEASURED], *found.fields[Group.RANKED]]
    if found.live_order_counts:
        measured += found.fields[Group.LIVE_ORDER]
    if measured:
        yield _fields_table("Fields that changed", measured)
        yield _worst_table("The worst of each field", measured)
    if found.fields[Group.LIVE_ORDER] and not found.live_order_counts:
        yield _fields_table(
            "Fields that depend on the order of processing: no change",
            found.fields[Group.LIVE_ORDER],
        )
    if found.fields[Group.PROVENANCE]:
        yield _provenance_table(found.fields[Group.PROVENANCE])
    if found.changed:
        yield _changed_table(found)
    for title, names in (("Lost", found.lost), ("New", found.new)):
        if names:
            yield _names_table(title, names)


def _counts_table(found: Comparison) -> Table:
    table = _table("Alerts", "visit", "det", "A", "B", "identical", "changed")
    for heading in ("lost", "new"):
        table.add_column(heading, justify="right")
    differing = {
        exposure: counts
        for exposure, counts in found.exposures.items()
        if counts.n_changed or counts.n_lost or counts.n_new
    }
    for exposure, counts in list(differing.items())[:MAX_ROWS]:
        table.add_row(*_exposure(exposure), *_numbers(counts))
    rest = len(found.exposures) - min(len(differing), MAX_ROWS)
    if rest and differing:
        table.add_row(f"{rest} others")
    table.add_row("all", "", *_numbers(found.counts), style="bold")
    return table


def _fields_table(title: str, differences: Sequence[FieldDifference]) -> Table:
    headings = ("changed", "of", "one-sided", "max |B-A|", "relative", "sigma", "B/A")
    table = _table(title, "field", *headings)
    for item in differences[:MAX_ROWS]:
        table.add_row(
            short_name(item.field),
            str(item.n_changed),
            str(item.n_compared),
            str(item.n_one_sided or ""),
            _number(item.max_absolute),
            _number(item.max_relative),
            _number(item.max_sigma),
            "" if item.median_ratio is None else f"{item.median_ratio:.6g}",
        )
    return _with_rest(table, len(differences))


def _worst_table(title: str, differences: Sequence[FieldDifference]) -> Table:
    table = _table(title, "field", "visit", "det", "diaSourceId", "A", "B")
    for item in differences[:MAX_ROWS]:
        worst = item.worst
        table.add_row(
            short_name(item.field),
            *_exposure(worst.exposure),
            str(worst.id_a),
            _value(worst.a),
            _value(worst.b),
        )
    return _with_rest(table, len(differences))


def _provenance_table(differences: Sequence[FieldDifference]) -> Table:
    title = "Provenance that differs, by an example: no change"
    table = _table(title, "of", "A", "B")
    for item in differences[:MAX_ROWS]:
        name = item.field.removeprefix(f"{Group.PROVENANCE}.")
        table.add_row(name, *_contrasted(_value(item.worst.a), _value(item.worst.b)))
    return _with_rest(table, len(differences))


def _first(fields: Sequence[str]) -> str:
    """Return the first of some fields in words; --json has all."""
    named = ", ".join(map(short_name, fields[:MAX_FIELDS]))
    rest = len(fields) - MAX_FIELDS
    return f"{named} and {rest} more" if rest > 0 else named


def _changed_table(found: Comparison) -> Table:
    table = _table("Changed", "visit", "det", "diaSourceId")
    table.add_column("fields", overflow="fold")
    for alert in found.changed[:MAX_ROWS]:
        fields = _first(alert.fields)
        table.add_row(*_exposure(alert.a.exposure), str(alert.a.dia_source_id), fields)
    return _with_rest(table, len(found.changed))


def _names_table(title: str, names: Sequence[AlertName]) -> Table:
    table = _table(title, "visit", "det", "diaSourceId", "RA", "Dec", "S/N")
    for name in names[:MAX_ROWS]:
        snr = "" if name.snr is None else f"{name.snr:.1f}"
        position = f"{name.ra:.5f}", f"{name.dec:+.5f}"
        table.add_row(
            *_exposure(name.exposure), str(name.dia_source_id), *position, snr
        )
    return _with_rest(table, len(names))


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column(first, overflow="fold")
    for heading in others:
        table.add_column(heading, justify="right", overflow="fold")
    return table


def _with_rest(table: Table, total: int) -> Table:
    if total > MAX_ROWS:
        table.add_row(f"{total - MAX_ROWS} more")
    return table


def _exposure(exposure: VisitDetector) -> tuple[str, str]:
    return str(exposure.visit), str(exposure.detector)


def _numbers(counts: Counts) -> tuple[str, ...]:
    numbers = (
        counts.n_a,
        counts.n_b,
        counts.n_identical,
        counts.n_changed,
        counts.n_lost,
        counts.n_new,
    )
    return tuple(map(str, numbers))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _contrasted(a: str, b: str) -> tuple[str, str]:
    """Return texts from shortly before where they differ, if they are long."""
    if max(len(a), len(b)) <= _EXCERPT:
        return a, b
    pairs = zip(a, b, strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    start = max(same - _CONTEXT, 0)
    return _excerpt(a, start), _excerpt(b, start)


def _excerpt(text: str, start: int) -> str:
    end = start + _EXCERPT
    before, after = "…" if start else "", "…" if len(text) > end else ""
    return f"{before}{text[start:end]}{after}"


def _value(value: Value) -> str:
    """Return a value with the digits that tell it from its neighbours."""
    if value is None:
        return "null"
    return f"{value:.9g}" if isinstance(value, float) else str(value)
