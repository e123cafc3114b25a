"""How far a field may move and still be the same."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from fnmatch import fnmatchcase
from math import isfinite

from streamdiff.app.alerts.columns import FieldColumn
from streamdiff.app.alerts.fields import is_quantity, schema_fields, short_name
from streamdiff.errors import ConfigError

_WRITTEN = re.compile(r"(?P<field>[^=]+)=(?P<amount>[^=]+?)(?P<kind>abs|rel|sigma)")
_WILD = frozenset("*?[")


class Measure(StrEnum):
    """What a tolerance is counted in.

    Attributes
    ----------
    ABSOLUTE
        The unit of the field.
    RELATIVE
        The value of A.
    SIGMA
        The standard error of the field, from A: the field with ``Err`` added.
    """

    ABSOLUTE = "abs"
    RELATIVE = "rel"
    SIGMA = "sigma"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """A difference that is none yet.

    Attributes
    ----------
    field : str
        Name of a field, or a pattern such as ``*Flux``.
    amount : float
        Largest difference that is tolerated, >= 0.
    measure : Measure
    """

    field: str
    amount: float
    measure: Measure

    @classmethod
    def parse(cls, text: str) -> "Tolerance":
        """Return the tolerance of a text such as ``psfFlux=0.01rel``.

        Raises
        ------
        ConfigError
            If the text is none.
        """
        written = _WRITTEN.fullmatch(text.strip())
        try:
            amount = float(written["amount"]) if written else float("nan")
        except ValueError:
            amount = float("nan")
        if written is None or not (isfinite(amount) and amount >= 0):
            raise ConfigError(
                f"tolerance {text!r}: expected FIELD=VALUE and abs, rel or sigma, such "
                "as psfFlux=0.01rel"
            )
        return cls(
            field=written["field"].strip(),
            amount=amount,
            measure=Measure(written["kind"]),
        )

    def __str__(self) -> str:
        return f"{self.field}={self.amount:g}{self.measure}"


def names(pattern: str, field: str) -> bool:
    """Return whether a name or pattern, full or short, means a field."""
    return fnmatchcase(field, pattern) or fnmatchcase(short_name(field), pattern)


def error_field(field: str) -> str:
    """Return the field that holds the standard error of another."""
    return f"{field}Err"


def require_known(patterns: Sequence[str], found: Collection[str]) -> None:
    """Check that names mean fields.

    Raises
    ------
    ConfigError
        If one means neither a field of the alerts nor one of the schema.
    """
    known = sorted({*found, *schema_fields()})
    for pattern in patterns:
        if not any(names(pattern, field) for field in known):
            near = get_close_matches(pattern, [short_name(f) for f in known])
            hint = f": did you mean {', '.join(near)}?" if near else ""
            raise ConfigError(f"alerts have no field {pattern!r}{hint}")


def require_applicable(
    tolerances: Sequence[Tolerance], columns: Mapping[str, FieldColumn]
) -> None:
    """Check that tolerances of fields that are named, not patterns, can be meant.

    Raises
    ------
    ConfigError
        If a field is no number, or one in sigma has no standard error.
    """
    require_known([tolerance.field for tolerance in tolerances], columns)
    for tolerance in tolerances:
        if _WILD & set(tolerance.field):
            continue
        for field, column in columns.items():
            if not names(tolerance.field, field):
                continue
            if not (is_quantity(field) and (column.is_number or column.missing.all())):
                raise ConfigError(f"tolerance {tolerance}: {field} is no number")
            if tolerance.measure is Measure.SIGMA and error_field(field) not in columns:
                raise ConfigError(
                    f"tolerance {tolerance}: alerts have no {error_field(field)}"
                )
