"""The association of replayed visits: one after another, in the order of time.

Whatever order the visits ended in, and however many workers there were, the alerts of
each tell of the DiaSources of earlier visits alone, and DiaObjects have the same names.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamdiff.adapters.avro.alert import flat_record
from streamdiff.adapters.avro.container import read_alerts, write_alerts
from streamdiff.adapters.catalogue import SqlCatalogue
from streamdiff.adapters.catalogue.pinned import copy_before, opened
from streamdiff.app.output import file_stem
from streamdiff.app.progress import Progress
from streamdiff.app.wiring import association
from streamdiff.config import Settings
from streamdiff.imaging.sky_pixels import sky_pixels
from streamdiff.model import Column, DiaSources, VisitReady
from streamdiff.pipeline.association import Associated
from streamdiff.pipeline.stage import StageCalls
from streamdiff.plugins import Registry

CATALOGUE_FILE = "catalogue.db"
_MISSING = np.nan

Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialAssociation:
    """Associates the alerts that a replay has written into a folder.

    Attributes
    ----------
    settings : Settings
        Those of the replay: the folder is its output.
    registry : Registry
    pinned : str
        URL of the catalogue whose DiaObjects there are at the start, as it was before
        the first visit; empty for none. It is only read.
    """

    settings: Settings
    registry: Registry
    pinned: str = ""

    def __call__(self, visits: Iterable[VisitReady], progress: Progress) -> None:
        """Rewrite the alerts of visits, with their DiaObjects and history.

        What is known in the end stays in the folder, as `CATALOGUE_FILE`.

        Raises
        ------
        ConfigError
            If there is no catalogue to begin with.
        StoreUnavailableError
            If a catalogue does not answer, or the folder can not be written to.
        PluginContractError, PluginFailedError
            If the associator fails.
        """
        ordered = sorted(
            {event.exposure_id: event for event in visits}.values(), key=_in_time
        )
        catalogue = self._begun(ordered)
        step = association(self.settings, self.registry, catalogue)
        calls = StageCalls(
            monotonic=lambda: 0.0,
            names={"associate": self.settings.pipeline.associate},
        )
        progress.begin("associated", len(ordered))
        try:
            for done, event in enumerate(ordered, start=1):
                records = self._alerts(event)
                found = step.run(event, table_of(records), calls)
                told = [_told(record, found, i) for i, record in enumerate(records)]
                write_alerts(self._path(event), told)
                progress.advance("associated", done)
        finally:
            catalogue.close()

    def check(self) -> None:
        """Look for the catalogue to begin with, if there is to be one.

        Raises
        ------
        ConfigError, StoreUnavailableError
            If there is none, or it does not answer.
        """
        if self.pinned:
            with opened(self.pinned):
                pass

    def _begun(self, visits: Sequence[VisitReady]) -> SqlCatalogue:
        """Return a new catalogue with what was known before the first visit."""
        path = self._directory / CATALOGUE_FILE
        for old in self._directory.glob(f"{CATALOGUE_FILE}*"):
            old.unlink()
        catalogue = SqlCatalogue(f"sqlite:///{path}")
        catalogue.prepare()
        if self.pinned and visits:
            places = [self._pixels(event) for event in visits]
            pixels = np.unique(np.concatenate(places))
            copy_before(self.pinned, catalogue, event=visits[0], pixels=pixels)
        return catalogue

    def _pixels(self, event: VisitReady) -> NDArray[np.int64]:
        sources = [record["diaSource"] for record in self._alerts(event)]
        return sky_pixels([s["ra"] for s in sources], [s["dec"] for s in sources])

    def _alerts(self, event: VisitReady) -> list[Record]:
        return list(read_alerts(self._path(event)))

    def _path(self, event: VisitReady) -> Path:
        return self._directory / f"{file_stem(event.exposure_id)}.avro"

    @property
    def _directory(self) -> Path:
        return Path(self.settings.output.directory)


def table_of(records: Sequence[Mapping[str, Any]]) -> DiaSources:
    """Return the DiaSources of alerts as a table; what is missing is NaN."""
    sources = [record["diaSource"] for record in records]
    names = list(sources[0]) if sources else ["diaSourceId", "ra", "dec"]
    columns = {name: _column([source[name] for source in sources]) for name in names}
    return DiaSources(
        tuple(
            Column(name, column.dtype.str, "", "") for name, column in columns.items()
        ),
        columns,
    )


def _column(values: Sequence[Any]) -> NDArray[Any]:
    if all(value is None for value in values):
        return np.full(len(values), _MISSING)
    if any(value is None for value in values):
        return np.array([_MISSING if v is None else v for v in values], float)
    return np.array(values)


def _in_time(event: VisitReady) -> tuple[float, int, int]:
    """Return the place of a visit: by time, then as diaSourceIds go."""
    return event.midpoint_mjd_tai, event.visit, event.detector


def _told(record: Record, found: Associated, row: int) -> Record:
    """Return the record of an alert with its DiaObject and history."""
    told = found.fields(row)
    summary = told.dia_object
    return record | {
        "diaSource": record["diaSource"]
        | {"diaObjectId": told.dia_object_id, "ssObjectId": told.ss_object_id},
        "diaObject": None if summary is None else flat_record("diaObject", summary),
        "prvDiaSources": [flat_record("diaSource", r) for r in told.dia_sources]
        or None,
        "prvDiaForcedSources": [
            flat_record("diaForcedSource", r) for r in told.dia_forced_sources
        ]
        or None,
    }
