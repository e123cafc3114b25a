"""What a comparison of alerts finds, also as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from scipy.stats import binomtest

from streamdiff.app.alerts.differences import FieldDifference
from streamdiff.app.alerts.fields import Group, Value
from streamdiff.app.alerts.reading import Place, VisitDetector


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertName:
    """Which alert, and where it is.

    Attributes
    ----------
    exposure : VisitDetector
    dia_source_id : int
    ra, dec : float
        Position, ICRS [deg].
    snr : float or None
    place : Place
        In its source.
    """

    exposure: VisitDetector
    dia_source_id: int
    ra: float
    dec: float
    snr: float | None
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedAlert:
    """An alert that both sides have, and that differs.

    Attributes
    ----------
    a, b : AlertName
    fields : tuple of str
        Names of what differs by more than is tolerated.
    """

    a: AlertName
    b: AlertName
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many alerts are what, of one exposure or of all.

    Attributes
    ----------
    n_identical, n_changed : int
        Alerts that both sides have.
    n_lost, n_new : int
        Alerts that A alone has, and B alone.
    """

    n_identical: int
    n_changed: int
    n_lost: int
    n_new: int

    @property
    def n_a(self) -> int:
        """Return the number of alerts of A."""
        return self.n_identical + self.n_changed + self.n_lost

    @property
    def n_b(self) -> int:
        """Return the number of alerts of B."""
        return self.n_identical + self.n_changed + self.n_new

    @property
    def n_either(self) -> int:
        """Return the number of alerts that either side has."""
        return self.n_a + self.n_new


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """Whether one side finds more than the other, or only something else.

    Attributes
    ----------
    share_a, share_b : float
        Of what either side has found, the part that A and that B has.
    p_value : float
        Probability that, were both equally good, as many or more of the alerts
        that one side alone has were on one of the sides (exact test of McNemar).
    """

    share_a: float
    share_b: float
    p_value: float

    @classmethod
    def of(cls, counts: Counts) -> "Completeness":
        """Return the completeness that counts tell of; 1 where there are none."""
        n_one_sided = counts.n_lost + counts.n_new
        p_value = binomtest(counts.n_lost, n_one_sided).pvalue if n_one_sided else 1.0
        return cls(
            share_a=counts.n_a / counts.n_either if counts.n_either else 1.0,
            share_b=counts.n_b / counts.n_either if counts.n_either else 1.0,
            p_value=float(p_value),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What two sets of alerts, A and B, have in common and what not.

    Everything is ordered by visit, detector and id, whatever the order of the
    alerts was.

    Attributes
    ----------
    counts : Counts
        Of the exposures that both sides have.
    exposures : mapping of VisitDetector to Counts
        The same by exposure.
    changed : tuple of ChangedAlert
    lost, new : tuple of AlertName
        Alerts of A alone, and of B alone.
    only_a, only_b : mapping of VisitDetector to int
        Exposures that one side alone knows of, and their alerts there, which are
        neither lost nor new.
    fields : mapping of Group to tuple of FieldDifference
        Of each group of fields those that differ, the most frequent first.
    completeness : Completeness
    repeated_a, repeated_b : int
        Alerts that were there more than once, and count once.
    live_order_counts : bool
        Whether fields that depend on the order of processing decide what has
        changed.
    """

    counts: Counts
    exposures: Mapping[VisitDetector, Counts]
    changed: tuple[ChangedAlert, ...]
    lost: tuple[AlertName, ...]
    new: tuple[AlertName, ...]
    only_a: Mapping[VisitDetector, int]
    only_b: Mapping[VisitDetector, int]
    fields: Mapping[Group, tuple[FieldDifference, ...]]
    completeness: Completeness
    repeated_a: int = 0
    repeated_b: int = 0
    live_order_counts: bool = False

    @property
    def is_same(self) -> bool:
        """Return whether nothing was changed, lost or new, exposures included."""
        one_sided = (*self.only_a.values(), *self.only_b.values())
        return not (self.changed or self.lost or self.new or any(one_sided))

    def as_json(self) -> dict[str, Any]:
        """Return what can be written as JSON."""
        return {
            "same": self.is_same,
            "counts": _counts(self.counts),
            "completeness": asdict(self.completeness),
            "exposures": [
                {**exposure._asdict(), **_counts(counts)}
                for exposure, counts in self.exposures.items()
            ],
            "only_a": _one_sided(self.only_a),
            "only_b": _one_sided(self.only_b),
            "fields": {
                str(group): [_field(item) for item in found]
                for group, found in self.fields.items()
            },
            "changed": [
                {"a": _name(c.a), "b": _name(c.b), "fields": list(c.fields)}
                for c in self.changed
            ],
            "lost": [_name(name) for name in self.lost],
            "new": [_name(name) for name in self.new],
            "repeated": {"a": self.repeated_a, "b": self.repeated_b},
            "live_order_counts": self.live_order_counts,
        }


def _counts(counts: Counts) -> dict[str, int]:
    return {
        "a": counts.n_a,
        "b": counts.n_b,
        "identical": counts.n_identical,
        "changed": counts.n_changed,
        "lost": counts.n_lost,
        "new": counts.n_new,
    }


def _one_sided(exposures: Mapping[VisitDetector, int]) -> list[dict[str, int]]:
    return [{**exposure._asdict(), "alerts": n} for exposure, n in exposures.items()]


def _field(difference: FieldDifference) -> dict[str, Any]:
    fields = asdict(difference)
    worst = _on_exposure(fields["worst"])
    fields["worst"] = worst | {side: _writable(worst[side]) for side in ("a", "b")}
    return fields


def _name(name: AlertName) -> dict[str, Any]:
    fields = _on_exposure(asdict(name))
    fields.pop("place")
    return fields | {"snr": _writable(name.snr)}


def _writable(value: Value) -> Value:
    """Return a value as JSON can have it: NaN and infinities are text there."""
    is_allowed = not isinstance(value, float) or isfinite(value)
    return value if is_allowed else str(value)


def _on_exposure(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields with visit and detector in place of the exposure."""
    visit, detector = fields.pop("exposure")
    return {"visit": visit, "detector": detector, **fields}
