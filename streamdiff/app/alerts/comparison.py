"""Compares two sets of alerts: identical, changed, lost and new."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from streamdiff.app.alerts.columns import DEC, RA, AlertTable, read_table
from streamdiff.app.alerts.differences import (
    FieldDifference,
    Flags,
    Pairs,
    changed_pairs,
    most_often_first,
    summary,
)
from streamdiff.app.alerts.fields import Group, group_of
from streamdiff.app.alerts.matching import Matches, Rows, match, rows_by_exposure
from streamdiff.app.alerts.reading import AlertSource, VisitDetector
from streamdiff.app.alerts.result import (
    AlertName,
    ChangedAlert,
    Comparison,
    Completeness,
    Counts,
)
from streamdiff.app.alerts.tolerances import (
    Tolerance,
    names,
    require_applicable,
    require_known,
)
from streamdiff.errors import ConfigError

MAX_RADIUS_ARCSEC = 60.0
_SNR = "diaSource.snr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is the same alert, and what is a change of it.

    Attributes
    ----------
    radius_arcsec : float
        Largest distance of two alerts that are one, in (0, 60]. The default is
        that of an association: more than the error of a faint position, less
        than two neighbours can be told apart.
    tolerances : tuple of Tolerance
        A field differs if it does by more than every tolerance that names it;
        without one, if it is not exactly the same.
    ignored : tuple of str
        Fields, or patterns of fields, that are not compared.
    live_order_counts : bool
        Whether fields that depend on the order of processing decide, too.

    Raises
    ------
    ConfigError
        If the radius is out of range.
    """

    radius_arcsec: float = 1.0
    tolerances: tuple[Tolerance, ...] = ()
    ignored: tuple[str, ...] = ()
    live_order_counts: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.radius_arcsec <= MAX_RADIUS_ARCSEC:
            raise ConfigError(
                f"radius_arcsec must be in (0, {MAX_RADIUS_ARCSEC:g}], got "
                f"{self.radius_arcsec}"
            )


def compare(
    source_a: AlertSource, source_b: AlertSource, rules: Rules | None = None
) -> Comparison:
    """Return what two sets of alerts have in common and what not.

    Alerts are one if they are of one visit and detector and near each other, see
    `streamdiff.app.alerts.matching.match`. Of each alert the measurements are kept
    in memory, not the images.

    Parameters
    ----------
    source_a, source_b : AlertSource
        A is what tolerances refer to.
    rules : Rules, optional

    Raises
    ------
    ConfigError
        If a tolerance names no field, or one that it can not be applied to.
    UndecodableError
        If alerts can not be read.
    """
    rules = rules or Rules()
    a, b = read_table(source_a), read_table(source_b)
    columns = {**a.columns, **b.columns}
    require_known(rules.ignored, columns)
    require_applicable(rules.tolerances, columns)

    matches = list(match(a, b, rules.radius_arcsec))
    sides = _known_exposures(a), _known_exposures(b)
    common = [m for m in matches if all(m.exposure in side for side in sides)]
    pairs = Pairs(
        a=a,
        b=b,
        rows_a=_joined([m.rows_a for m in common]),
        rows_b=_joined([m.rows_b for m in common]),
    )
    changes = dict(_changes(pairs, common, rules))
    decisive = {
        field: flags for field, flags in changes.items() if _decides(field, rules)
    }
    counts = dict(_counted(common, _any_of(decisive, pairs)))
    total = _total(counts)
    return Comparison(
        counts=total,
        exposures=counts,
        changed=tuple(_changed_alerts(pairs, decisive)),
        lost=tuple(_name(a, row) for m in common for row in m.lost.tolist()),
        new=tuple(_name(b, row) for m in common for row in m.new.tolist()),
        only_a={m.exposure: len(m.lost) for m in matches if m.exposure not in sides[1]},
        only_b={m.exposure: len(m.new) for m in matches if m.exposure not in sides[0]},
        fields=_by_group(pairs, changes),
        completeness=Completeness.of(total),
        repeated_a=a.n_repeated,
        repeated_b=b.n_repeated,
        live_order_counts=rules.live_order_counts,
    )


def _known_exposures(table: AlertTable) -> frozenset[VisitDetector]:
    return table.processed | rows_by_exposure(table).keys()


def _joined(parts: list[Rows]) -> Rows:
    return np.concatenate([np.zeros(0, np.intp), *parts])


def _changes(
    pairs: Pairs, common: list[Matches], rules: Rules
) -> Iterator[tuple[str, Flags]]:
    """Yield the fields that differ, and in which pairs."""
    unshifted = _same_dia_sources(common)
    for field in sorted(pairs.a.columns.keys() | pairs.b.columns.keys()):
        if any(names(pattern, field) for pattern in rules.ignored):
            continue
        changed = changed_pairs(field, pairs, rules.tolerances)
        if group_of(field) is Group.RANKED:
            # A lost or new alert renumbers all that follow it on its exposure.
            changed &= unshifted
        if changed.any():
            yield field, changed


def _same_dia_sources(common: list[Matches]) -> Flags:
    """Return the pairs of exposures on which nothing was lost or is new."""
    flags = [np.full(len(m.rows_a), not (len(m.lost) or len(m.new))) for m in common]
    return np.concatenate([np.zeros(0, bool), *flags])


def _decides(field: str, rules: Rules) -> bool:
    group = group_of(field)
    if group is Group.LIVE_ORDER:
        return rules.live_order_counts
    return group is not Group.PROVENANCE


def _any_of(changes: Mapping[str, Flags], pairs: Pairs) -> Flags:
    changed = np.zeros(len(pairs.rows_a), bool)
    for flags in changes.values():
        changed |= flags
    return changed


def _counted(
    common: list[Matches], changed: Flags
) -> Iterator[tuple[VisitDetector, Counts]]:
    start = 0
    for m in common:
        n_pairs = len(m.rows_a)
        n_changed = int(changed[start : start + n_pairs].sum())
        start += n_pairs
        yield (
            m.exposure,
            Counts(
                n_identical=n_pairs - n_changed,
                n_changed=n_changed,
                n_lost=len(m.lost),
                n_new=len(m.new),
            ),
        )


def _total(counts: Mapping[VisitDetector, Counts]) -> Counts:
    return Counts(
        n_identical=sum(c.n_identical for c in counts.values()),
        n_changed=sum(c.n_changed for c in counts.values()),
        n_lost=sum(c.n_lost for c in counts.values()),
        n_new=sum(c.n_new for c in counts.values()),
    )


def _changed_alerts(
    pairs: Pairs, changes: Mapping[str, Flags]
) -> Iterator[ChangedAlert]:
    if not changes:
        return
    fields = np.array(list(changes))
    flags = np.stack(list(changes.values()))
    for pair in np.flatnonzero(flags.any(axis=0)).tolist():
        yield ChangedAlert(
            a=_name(pairs.a, int(pairs.rows_a[pair])),
            b=_name(pairs.b, int(pairs.rows_b[pair])),
            fields=tuple(fields[flags[:, pair]].tolist()),
        )


def _by_group(
    pairs: Pairs, changes: Mapping[str, Flags]
) -> dict[Group, tuple[FieldDifference, ...]]:
    found = [summary(field, pairs, flags) for field, flags in changes.items()]
    return {
        group: most_often_first(d for d in found if group_of(d.field) is group)
        for group in Group
    }


def _name(table: AlertTable, row: int) -> AlertName:
    snr = table.column(_SNR).value(row)
    return AlertName(
        exposure=table.exposure(row),
        dia_source_id=table.identity(row),
        ra=float(table.columns[RA].values[row]),
        dec=float(table.columns[DEC].values[row]),
        snr=float(snr) if isinstance(snr, int | float) else None,
        place=table.place(row),
    )
