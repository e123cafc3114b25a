"""Which alerts of a source are wanted, and what a program is told of them."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from streamdiff.app.alerts.reading import AlertSource, Located, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What an alert must have to be wanted.

    Attributes
    ----------
    visit, detector, dia_source, dia_object : int or None
        Identifiers; `None` for any.
    min_snr : float or None
        Least significance; an alert without one does not pass. `None` for any.
    """

    visit: int | None = None
    detector: int | None = None
    dia_source: int | None = None
    dia_object: int | None = None
    min_snr: float | None = None

    def accepts(self, record: Record) -> bool:
        """Return whether an alert is wanted."""
        source = record["diaSource"]
        return (
            self.visit in {None, source["visit"]}
            and self.detector in {None, source["detector"]}
            and self.dia_source in {None, record["diaSourceId"]}
            and self.dia_object in {None, source.get("diaObjectId")}
            and (self.min_snr is None or (source.get("snr") or 0.0) >= self.min_snr)
        )

    def alerts(self, source: AlertSource) -> Iterator[Record]:
        """Yield the wanted alerts of a source, in its order."""
        for item in source.read():
            if isinstance(item, Located) and self.accepts(item.record):
                yield item.record


def true_flags(source: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the flags that are set on a DiaSource."""
    return tuple(name for name, value in source.items() if value is True)


def without_images(record: Record) -> dict[str, Any]:
    """Return an alert as JSON can hold it: no cutouts, null for NaN."""
    return {
        name: _plain(value)
        for name, value in record.items()
        if not isinstance(value, bytes)
    }


def _plain(value: Any) -> Any:  # noqa: ANN401 (any value of a record)
    if isinstance(value, dict):
        return without_images(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, bool | int | float | str | None) else str(value)
