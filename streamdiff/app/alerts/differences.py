"""Where two columns differ, by how much, and what is worst."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamdiff.app.alerts.columns import AlertTable, FieldColumn
from streamdiff.app.alerts.fields import CUTOUTS, Value, checksum_text, is_quantity
from streamdiff.app.alerts.matching import Rows
from streamdiff.app.alerts.reading import VisitDetector
from streamdiff.app.alerts.tolerances import Measure, Tolerance, error_field, names

# Longitudes: 359.9 and 0.1 degrees are near.
_CYCLIC = frozenset({"diaSource.ra", "diaSource.trailRa", "diaObject.ra"})

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """The two alerts that differ most in a field.

    Attributes
    ----------
    exposure : VisitDetector
    id_a, id_b : int
        Their ids.
    a, b : bool, int, float, str or None
        Their values.
    """

    exposure: VisitDetector
    id_a: int
    id_b: int
    a: Value
    b: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDifference:
    """How a field differs over all alerts that match.

    Attributes
    ----------
    field : str
        Its name.
    n_compared : int
        Pairs of alerts that either has a value in.
    n_changed : int
        Of these, pairs that differ by more than is tolerated.
    n_one_sided : int
        Of these, pairs in which one has no value.
    max_absolute, max_relative, max_sigma : float or None
        Largest difference among all that changed: in the unit of the field,
        relative to A, and in standard errors of A; `None` where that is not
        defined.
    median_ratio : float or None
        Median of B / A among all that changed: a factor that all have in common.
    worst : Worst
        Largest in sigma or, for lack of errors, in the unit of the field.
    """

    field: str
    n_compared: int
    n_changed: int
    n_one_sided: int
    max_absolute: float | None
    max_relative: float | None
    max_sigma: float | None
    median_ratio: float | None
    worst: Worst


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pairs:
    """Rows of two tables that match, one by one.

    Attributes
    ----------
    a, b : AlertTable
    rows_a, rows_b : ndarray of int, shape (n,)
    """

    a: AlertTable
    b: AlertTable
    rows_a: Rows
    rows_b: Rows

    def columns(self, field: str) -> tuple[FieldColumn, FieldColumn]:
        """Return the values of a field on both sides, row by row."""
        return (
            self.a.column(field).take(self.rows_a),
            self.b.column(field).take(self.rows_b),
        )

    def worst(self, field: str, pair: int) -> Worst:
        """Return the values of one pair."""
        row_a, row_b = int(self.rows_a[pair]), int(self.rows_b[pair])
        return Worst(
            exposure=self.a.exposure(row_a),
            id_a=self.a.identity(row_a),
            id_b=self.b.identity(row_b),
            a=_shown(field, self.a.column(field).value(row_a)),
            b=_shown(field, self.b.column(field).value(row_b)),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Amounts:
    """Differences of a field, pair by pair; NaN where they are not defined."""

    absolute: Floats
    relative: Floats
    sigma: Floats
    ratio: Floats

    def within(self, tolerance: Tolerance) -> Flags:
        """Return which pairs differ by no more than is tolerated."""
        amount = {
            Measure.ABSOLUTE: self.absolute,
            Measure.RELATIVE: self.relative,
            Measure.SIGMA: self.sigma,
        }[tolerance.measure]
        inside: Flags = amount <= tolerance.amount
        return inside


def changed_pairs(
    field: str, pairs: Pairs, tolerances: Sequence[Tolerance] = ()
) -> Flags:
    """Return which pairs differ in a field by more than any tolerance allows.

    A value on one side only is a difference that nothing tolerates.
    """
    a, b = pairs.columns(field)
    differ = a.differs(b)
    applicable = [t for t in tolerances if names(t.field, field)]
    if applicable and differ.any() and _have_amounts(field, a, b):
        amounts = _amounts(field, pairs)
        for tolerance in applicable:
            differ &= ~amounts.within(tolerance)
    return differ


def summary(field: str, pairs: Pairs, changed: Flags) -> FieldDifference:
    """Return how a field differs in the pairs that have changed: at least one."""
    a, b = pairs.columns(field)
    amounts = _amounts(field, pairs)
    scale = (
        amounts.sigma if np.isfinite(amounts.sigma[changed]).any() else amounts.absolute
    )
    worst = np.argmax(np.where(changed, np.nan_to_num(scale, nan=-1), -2))
    return FieldDifference(
        field=field,
        n_compared=int((~(a.missing & b.missing)).sum()),
        n_changed=int(changed.sum()),
        n_one_sided=int((changed & (a.missing ^ b.missing)).sum()),
        max_absolute=_largest(amounts.absolute[changed]),
        max_relative=_largest(amounts.relative[changed]),
        max_sigma=_largest(amounts.sigma[changed]),
        median_ratio=_median(amounts.ratio[changed]),
        worst=pairs.worst(field, int(worst)),
    )


def most_often_first(found: Iterable[FieldDifference]) -> tuple[FieldDifference, ...]:
    """Return differences by how often they are, then by name."""
    return tuple(sorted(found, key=lambda item: (-item.n_changed, item.field)))


def _shown(field: str, value: Value) -> Value:
    if field in CUTOUTS and isinstance(value, int):
        return checksum_text(value)
    return value


def _have_amounts(field: str, a: FieldColumn, b: FieldColumn) -> bool:
    return is_quantity(field) and a.is_number and b.is_number


@np.errstate(all="ignore")  # infinities have no difference, nor is that an error
def _amounts(field: str, pairs: Pairs) -> _Amounts:
    a, b = pairs.columns(field)
    unknown = np.full(len(a.missing), np.nan)
    if not _have_amounts(field, a, b):
        return _Amounts(
            absolute=unknown, relative=unknown, sigma=unknown, ratio=unknown
        )
    before, after = _floats(a), _floats(b)
    error, _ = pairs.columns(error_field(field))
    moved = after - before
    if field in _CYCLIC:
        moved = (moved + 180) % 360 - 180
    absolute = np.abs(moved)
    return _Amounts(
        absolute=absolute,
        relative=_divided(absolute, np.abs(before)),
        sigma=_divided(absolute, _floats(error)) if error.is_number else unknown,
        ratio=_divided(after, before),
    )


def _floats(column: FieldColumn) -> Floats:
    return np.where(column.missing, np.nan, column.values.astype(np.float64))


def _divided(value: Floats, by: Floats) -> Floats:
    """Return quotients; NaN where the divisor is 0."""
    quotients: Floats = np.divide(
        value, by, out=np.full(len(value), np.nan), where=by != 0
    )
    return quotients


def _largest(amounts: Floats) -> float | None:
    known = amounts[np.isfinite(amounts)]
    return float(known.max()) if known.size else None


def _median(amounts: Floats) -> float | None:
    known = amounts[np.isfinite(amounts)]
    return float(np.median(known)) if known.size else None
