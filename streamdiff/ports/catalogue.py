"""What the core needs of a catalogue: DiaObjects, and what they are made of."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import (
    BandStatistics,
    DiaObjects,
    DiaSources,
    ForcedRows,
    SourceRows,
    VisitReady,
)

Ids = NDArray[np.int64]
Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is known of a DiaObject of some time, as alerts tell it.

    Attributes
    ----------
    dia_sources, dia_forced_sources : tuple of mapping of str to value
        Fields of the Avro records, by time.
    """

    dia_sources: tuple[Record, ...] = ()
    dia_forced_sources: tuple[Record, ...] = ()


class CatalogueSession(Protocol):
    """One transaction about one exposure and the sky around it.

    Nobody else changes what is there meanwhile. Columns, rows and ids are those of
    the whole catalogue; unknown ids are passed over.
    """

    def forget(self) -> Ids:
        """Remove all that an earlier run of the exposure has left.

        Returns the DiaObjects that it had added to: they are to be made anew from
        the rows that are left, and put or withdrawn.
        """
        ...

    def objects(self) -> DiaObjects:
        """Return the DiaObjects in the pixels of the transaction, by id."""
        ...

    def taken(self, dia_object_ids: Ids) -> Ids:
        """Return those of some ids that can not be given to a new DiaObject."""
        ...

    def objects_of(self, dia_object_ids: Ids) -> DiaObjects:
        """Return some DiaObjects, by id."""
        ...

    def sources_of(self, dia_object_ids: Ids) -> SourceRows:
        """Return all DiaSources of some DiaObjects."""
        ...

    def forced_of(self, dia_object_ids: Ids) -> ForcedRows:
        """Return all forced sources of some DiaObjects."""
        ...

    def statistics_of(self, dia_object_ids: Ids) -> BandStatistics:
        """Return what was put of some DiaObjects."""
        ...

    def add_sources(self, rows: SourceRows, sources: DiaSources) -> None:
        """Keep the DiaSources of the exposure: what they belong to, and all else."""
        ...

    def add_forced(self, rows: ForcedRows) -> None:
        """Keep the forced sources of the exposure."""
        ...

    def put(self, objects: DiaObjects, statistics: BandStatistics) -> None:
        """Keep DiaObjects, in place of what was known of them."""
        ...

    def withdraw(self, dia_object_ids: Ids) -> None:
        """Remove DiaObjects that no DiaSource is left of, and their forced sources."""
        ...

    def merge(self, absorbed: int, survivor: int) -> None:
        """Give the DiaSources of one DiaObject to another, and remove the one.

        `forget` of the exposure undoes it.
        """
        ...

    def history(
        self, dia_object_ids: Ids, *, since_mjd: float, before_mjd: float
    ) -> Mapping[int, History]:
        """Return DiaSources and forced sources of a range of times, by DiaObject."""
        ...


class Catalogue(Protocol):
    """Keeps DiaObjects, their DiaSources and their forced sources."""

    def session(
        self, event: VisitReady, pixels: Ids
    ) -> AbstractContextManager[CatalogueSession]:
        """Return a transaction: at the end all of it is kept, or, failing, nothing.

        Parameters
        ----------
        event : VisitReady
            Whose exposure it is about.
        pixels : ndarray of int64
            Pixels of `streamdiff.imaging.sky_pixels` that hold all DiaObjects that
            its DiaSources may belong to, with their neighbours.

        Raises
        ------
        StoreUnavailableError
            If the catalogue does not answer, now or later in the transaction.
        """
        ...
