"""The association of replayed visits: one after another, in the order of time.

Whatever order the visits ended in, and however many workers there were, the alerts of
each tell of the DiaSources and forced sources of earlier visits alone, and DiaObjects
have the same names. Workers leave the images that fluxes are forced on in files, which
are removed as soon as their visit has had its turn.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamdiff.adapters.avro.alert import flat_record
from streamdiff.adapters.avro.container import read_alerts, write_alerts
from streamdiff.adapters.catalogue import SqlCatalogue
from streamdiff.adapters.catalogue.pinned import PinnedPart, opened
from streamdiff.adapters.mapped_images import MappedImages, read_images
from streamdiff.app.output import IMAGES_SUFFIX, file_stem
from streamdiff.app.wiring import association
from streamdiff.config import Settings
from streamdiff.errors import StoreUnavailableError
from streamdiff.imaging.sky_pixels import pixels_of_image, sky_pixels
from streamdiff.model import Column, DiaSources, VisitReady
from streamdiff.pipeline.association import Associated, Association
from streamdiff.pipeline.stage import StageCalls
from streamdiff.plugins import Registry

CATALOGUE_FILE = "catalogue.db"
_MISSING = np.nan

Record = dict[str, Any]


class Associates(Protocol):
    """Associates what is given to it, one after another."""

    def __call__(self, event: VisitReady) -> Mapping[str, float]:
        """Rewrite the alerts of a visit with what is known; return metrics."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialAssociation:
    """Associates the alerts that a replay writes into a folder.

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

    def begin(self, first: VisitReady) -> AbstractContextManager[Associates]:
        """Give what associates visits, the first one first.

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
        return self._begun(first)

    @contextmanager
    def _begun(self, first: VisitReady) -> Iterator[Associates]:
        directory = Path(self.settings.output.directory)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for pattern in (f"{CATALOGUE_FILE}*", f"*{IMAGES_SUFFIX}"):
                _remove(directory, pattern)
        except OSError as err:
            raise StoreUnavailableError(f"{directory}: {err}") from err
        with ExitStack() as stack:
            # A visit that failed late has left some.
            stack.callback(_remove, directory, f"*{IMAGES_SUFFIX}")
            catalogue = SqlCatalogue(f"sqlite:///{directory / CATALOGUE_FILE}")
            stack.callback(catalogue.close)
            catalogue.prepare()
            known = None
            if self.pinned:
                connection = stack.enter_context(opened(self.pinned))
                known = PinnedPart(connection, catalogue, first)
            yield _InFolder(
                directory=directory,
                association=association(self.settings, self.registry, catalogue),
                associator=self.settings.pipeline.associate,
                known=known,
            )

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _InFolder:
    """Associates the alerts in a folder, visit by visit.

    Attributes
    ----------
    directory : Path
    association : Association
    associator : str
        Name of the plugin.
    known : PinnedPart or None
        What was known before the first visit.
    """

    directory: Path
    association: Association
    associator: str
    known: PinnedPart | None

    def __call__(self, event: VisitReady) -> Mapping[str, float]:
        """Rewrite the alerts of a visit, with their DiaObjects and history."""
        stem = self.directory / file_stem(event.exposure_id)
        path = stem.with_name(f"{stem.name}.avro")
        kept = stem.with_name(f"{stem.name}{IMAGES_SUFFIX}")
        records = list(read_alerts(path))
        images = read_images(kept) if kept.exists() else None
        if self.known is not None:
            self.known.copy(_pixels(records, images))
        calls = StageCalls(monotonic=lambda: 0.0, names={"associate": self.associator})
        table = table_of(records)
        found = self.association.run(
            event,
            table,
            calls,
            images=images,
            processed_mjd_tai=images.processed_mjd_tai if images else np.nan,
        )
        told = [_told(record, found, i) for i, record in enumerate(records)]
        write_alerts(path, told)
        kept.unlink(missing_ok=True)
        return found.metrics


def _remove(directory: Path, pattern: str) -> None:
    for path in directory.glob(pattern):
        path.unlink()


def _pixels(
    records: Sequence[Record], images: MappedImages | None
) -> NDArray[np.int64]:
    """Return the pixels of the sky that a visit touches."""
    sources = [record["diaSource"] for record in records]
    pixels = sky_pixels([s["ra"] for s in sources], [s["dec"] for s in sources])
    if images is None:
        return pixels
    area = pixels_of_image(images.difference.wcs, images.difference.shape)
    return np.concatenate([pixels, area])


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


def _told(record: Record, found: Associated, row: int) -> Record:
    """Return the record of an alert with its DiaObject and history."""
    told = found.fields(row)
    summary, moving = told.dia_object, told.ss_source
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
        "ssSource": None if moving is None else flat_record("ssSource", moving),
    }
