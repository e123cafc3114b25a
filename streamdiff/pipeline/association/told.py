"""What is known of the DiaObjects of an exposure, and how alerts tell it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from streamdiff.model import Alert
from streamdiff.model.rows import Ints
from streamdiff.ports import History


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Associated:
    """What the DiaSources of an exposure belong to; arrays row by row.

    Attributes
    ----------
    dia_object_ids, ss_object_ids : ndarray of int64, shape (n,)
        0 for none.
    summaries : mapping of int to mapping
        Fields of each DiaObject, with the DiaSources of this exposure.
    histories : mapping of int to History
        Of each DiaObject that has one, before this exposure.
    ss_sources : mapping of int to mapping
        By row: fields of those that are known objects of the solar system.
    metrics : mapping of str to float
    """

    dia_object_ids: Ints
    ss_object_ids: Ints
    summaries: Mapping[int, Mapping[str, Any]]
    histories: Mapping[int, History]
    ss_sources: Mapping[int, Mapping[str, Any]]
    metrics: Mapping[str, float]

    def fields(self, row: int) -> "Told":
        """Return what is known of a row's DiaObject."""
        dia_object_id = int(self.dia_object_ids[row])
        history = self.histories.get(dia_object_id, History())
        return Told(
            dia_object_id=dia_object_id or None,
            ss_object_id=int(self.ss_object_ids[row]) or None,
            dia_object=self.summaries.get(dia_object_id),
            dia_sources=history.dia_sources,
            dia_forced_sources=history.dia_forced_sources,
            ss_source=self.ss_sources.get(row),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an alert tells of what it belongs to.

    Attributes
    ----------
    dia_object_id, ss_object_id : int or None
    dia_object : mapping of str to value, or None
        Fields of the Avro record.
    dia_sources, dia_forced_sources : tuple of mapping of str to value
        Its history: fields of the Avro records, by time.
    ss_source : mapping of str to value, or None
        Fields of the Avro record.
    """

    dia_object_id: int | None
    ss_object_id: int | None
    dia_object: Mapping[str, Any] | None
    dia_sources: tuple[Mapping[str, Any], ...]
    dia_forced_sources: tuple[Mapping[str, Any], ...]
    ss_source: Mapping[str, Any] | None

    def by(self, alert: Alert) -> Alert:
        """Return an alert that tells it."""
        ids = {"diaObjectId": self.dia_object_id, "ssObjectId": self.ss_object_id}
        return replace(
            alert,
            dia_source={**alert.dia_source, **ids},
            dia_object=self.dia_object,
            prv_dia_sources=self.dia_sources,
            prv_dia_forced_sources=self.dia_forced_sources,
            ss_source=self.ss_source,
        )
