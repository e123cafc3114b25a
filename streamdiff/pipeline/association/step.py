"""What is done for one exposure between the begin and the end of its transaction."""

from dataclasses import dataclass, field, replace

import numpy as np

from streamdiff.errors import PluginContractError
from streamdiff.model import (
    NO_OBJECT,
    DiaObjects,
    DiaSources,
    ForcedRows,
    SourceRows,
    VisitReady,
)
from streamdiff.model.ephemerides import Ephemerides
from streamdiff.model.rows import Ints
from streamdiff.pipeline.association.forced import ForcedImages, forced_sources
from streamdiff.pipeline.association.merging import merged
from streamdiff.pipeline.association.names import new_ids
from streamdiff.pipeline.association.renew import add, renew, renewed
from streamdiff.pipeline.association.solar_system import ss_sources
from streamdiff.pipeline.association.summary import summaries
from streamdiff.pipeline.association.told import Associated
from streamdiff.pipeline.stage import StageCalls
from streamdiff.ports import CatalogueSession
from streamdiff.stages import NEW_OBJECT, Associator


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The association of one exposure, inside its transaction.

    Attributes
    ----------
    associator : Associator
    calls : StageCalls
    event : VisitReady
    session : CatalogueSession
        The exposure has no rows in it yet.
    known : DiaObjects
        Those around, without the exposure.
    metrics : dict of str to float
        What was done, so far.
    """

    associator: Associator
    calls: StageCalls
    event: VisitReady
    session: CatalogueSession
    known: DiaObjects
    metrics: dict[str, float] = field(default_factory=dict)

    def belonging(
        self, sources: DiaSources, rows: SourceRows, moving: DiaObjects
    ) -> SourceRows:
        """Return the rows with the ids of what they belong to.

        Parameters
        ----------
        sources : DiaSources
        rows : SourceRows
            The same, as the catalogue keeps them.
        moving : DiaObjects
            Where objects of the solar system are now.
        """
        ss_object_ids = self._moving(sources, moving)
        fixed = np.flatnonzero(ss_object_ids == NO_OBJECT)
        ids = np.full(len(rows), NO_OBJECT)
        ids[fixed] = self._answer(sources.take(fixed), self.known)
        new = np.flatnonzero(ids == NEW_OBJECT)
        ids[new] = new_ids(self.session, rows.ra[new], rows.dec[new])
        self.metrics.update(
            n_new_dia_objects=float(new.size),
            n_associated=float(np.count_nonzero(ids) - new.size),
            n_ss_objects=float(np.count_nonzero(ss_object_ids)),
        )
        return replace(rows, dia_object_id=ids, ss_object_id=ss_object_ids)

    def forced(self, images: ForcedImages, processed_mjd_tai: float) -> ForcedRows:
        """Return the forced sources of the exposure; they are kept."""
        rows = self.calls(
            "forced", forced_sources, self.event, images, self.known, processed_mjd_tai
        )
        self.session.add_forced(rows)
        return rows

    def told(
        self,
        rows: SourceRows,
        forced: ForcedRows,
        *,
        history_days: float,
        ephemerides: Ephemerides,
    ) -> Associated:
        """Return what is known of the DiaObjects of rows, with these."""
        objects, statistics = add(self.session, self.known, rows, forced)
        merges = self._merges(objects, rows.dia_object_id)
        if merges:
            survivors = np.array(list(merges.values()), np.int64)
            renew(self.session, survivors)
            objects, statistics = renewed(self.session, objects, statistics, survivors)
        ids = np.array([merges.get(i, i) for i in rows.dia_object_id.tolist()], "i8")
        named = np.unique(ids[ids != NO_OBJECT])
        before = self.event.midpoint_mjd_tai
        self.metrics.update(
            n_forced_sources=float(len(forced)), n_merged_dia_objects=float(len(merges))
        )
        return Associated(
            dia_object_ids=ids,
            ss_object_ids=rows.ss_object_id,
            summaries=summaries(
                objects.take(np.isin(objects.dia_object_id, named)),
                statistics.take(np.isin(statistics.dia_object_id, named)),
            ),
            histories=self.session.history(
                named,
                since_mjd=before - history_days,
                before_mjd=before,
            ),
            ss_sources=ss_sources(rows, ephemerides, before),
            metrics=self.metrics,
        )

    def _merges(self, objects: DiaObjects, ids: Ints) -> dict[int, int]:
        """Return the DiaObjects that became part of others, and of which."""
        others = ~np.isin(self.known.dia_object_id, objects.dia_object_id)
        return merged(
            self.session,
            DiaObjects.joined([objects, self.known.take(others)]),
            np.unique(ids[ids != NO_OBJECT]),
            radius_arcsec=self.associator.radius_arcsec,
        )

    def _moving(self, sources: DiaSources, moving: DiaObjects) -> Ints:
        """Return the ids of the solar-system objects of DiaSources; 0 for none."""
        if not len(moving):
            return np.full(len(sources), NO_OBJECT)
        found = self._answer(sources, moving)
        return np.where(found == NEW_OBJECT, NO_OBJECT, found)

    def _answer(self, sources: DiaSources, objects: DiaObjects) -> Ints:
        """Return what the associator says, if it keeps the contract."""
        if not len(sources):
            return np.zeros(0, np.int64)
        name = self.calls.name("associate")
        answer = self.calls("associate", self.associator.associate, sources, objects)
        ids = np.asarray(answer)
        if ids.shape != (len(sources),) or ids.dtype.kind not in "iu":
            raise PluginContractError(
                f"plugin {name!r} returned {ids.dtype} of shape {ids.shape}, not one "
                f"integer for each of {len(sources)} DiaSources"
            )
        allowed = np.isin(ids, [NEW_OBJECT, NO_OBJECT])
        allowed |= np.isin(ids, objects.dia_object_id)
        if not allowed.all():
            raise PluginContractError(
                f"plugin {name!r} returned the id {ids[~allowed][0]}, which is none of "
                "the DiaObjects that it was given"
            )
        return ids.astype(np.int64)
