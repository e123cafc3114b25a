"""The DiaSources of one exposure into the catalogue, and their history out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from streamdiff.errors import PluginContractError
from streamdiff.imaging.sky_pixels import pixels_of_image, sky_pixels
from streamdiff.model import (
    NO_OBJECT,
    Alert,
    Column,
    DiaObjects,
    DiaSources,
    ForcedRows,
    SourceRows,
    VisitReady,
)
from streamdiff.model.ephemerides import Ephemerides
from streamdiff.model.rows import Ints
from streamdiff.pipeline.association.forced import forced_sources
from streamdiff.pipeline.association.merging import merged
from streamdiff.pipeline.association.names import new_ids
from streamdiff.pipeline.association.renew import add, renew, renewed
from streamdiff.pipeline.association.summary import summaries
from streamdiff.pipeline.result import VisitResult
from streamdiff.pipeline.stage import StageCalls
from streamdiff.ports import Catalogue, CatalogueSession, History
from streamdiff.stages import NEW_OBJECT, Associator, Images

OBJECT_COLUMNS = (
    Column("diaObjectId", "i8", "", "Identifier of the DiaObject; 0: none"),
    Column("ssObjectId", "i8", "", "Identifier of the solar-system object; 0: none"),
)


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
    metrics : mapping of str to float
    """

    dia_object_ids: Ints
    ss_object_ids: Ints
    summaries: Mapping[int, Mapping[str, Any]]
    histories: Mapping[int, History]
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
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an alert tells of its DiaObject.

    Attributes
    ----------
    dia_object_id, ss_object_id : int or None
    dia_object : mapping of str to value, or None
        Fields of the Avro record.
    dia_sources, dia_forced_sources : tuple of mapping of str to value
        Its history: fields of the Avro records, by time.
    """

    dia_object_id: int | None
    ss_object_id: int | None
    dia_object: Mapping[str, Any] | None
    dia_sources: tuple[Mapping[str, Any], ...]
    dia_forced_sources: tuple[Mapping[str, Any], ...]

    def by(self, alert: Alert) -> Alert:
        """Return an alert that tells it."""
        ids = {"diaObjectId": self.dia_object_id, "ssObjectId": self.ss_object_id}
        return replace(
            alert,
            dia_source={**alert.dia_source, **ids},
            dia_object=self.dia_object,
            prv_dia_sources=self.dia_sources,
            prv_dia_forced_sources=self.dia_forced_sources,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """Associates exposures, each in one transaction of the catalogue.

    An exposure that was associated before is forgotten first: whatever the earlier
    run has found, the catalogue is left as if it had not been. Nothing depends on the
    time of processing.

    Attributes
    ----------
    catalogue : Catalogue
    associator : Associator
    ephemerides : Ephemerides or None
        Of objects of the solar system: DiaSources of these belong to no DiaObject.
    forced_photometry : bool
        Whether fluxes are measured at all known DiaObjects, where there are images.
    history_days : float
        How far back alerts tell of a DiaObject.
    """

    catalogue: Catalogue
    associator: Associator
    ephemerides: Ephemerides | None = None
    forced_photometry: bool = True
    history_days: float = 365.0

    def __call__(self, result: VisitResult, calls: StageCalls) -> VisitResult:
        """Return the result of a processed visit with all that its DiaObjects tell.

        Raises
        ------
        PluginContractError
            If the associator answers what it must not.
        StoreUnavailableError
            If the catalogue does not answer.
        """
        if result.products is None:
            return result
        products = result.products
        found = self.run(
            result.event,
            products.sources,
            calls,
            images=products.images,
        )
        sources = products.sources.with_columns(
            OBJECT_COLUMNS,
            {
                "diaObjectId": found.dia_object_ids,
                "ssObjectId": found.ss_object_ids,
            },
        )
        return replace(
            result,
            products=replace(products, sources=sources),
            alerts=tuple(
                found.fields(row).by(alert) for row, alert in enumerate(result.alerts)
            ),
            metrics={**result.metrics, **found.metrics},
            stage_seconds=dict(calls.seconds),
        )

    def run(
        self,
        event: VisitReady,
        sources: DiaSources,
        calls: StageCalls,
        *,
        images: Images | None = None,
    ) -> Associated:
        """Return what DiaSources belong to, and keep them.

        Parameters
        ----------
        event : VisitReady
        sources : DiaSources
            With ids and sky positions.
        calls : StageCalls
        images : Images, optional
            For forced photometry.
        """
        rows = SourceRows.of_table(sources)
        _require_positions(event, rows)
        pixels = sky_pixels(rows.ra, rows.dec)
        if images is not None:
            area = pixels_of_image(images.difference.wcs, images.difference.shape)
            pixels = np.concatenate([pixels, area])
        with self.catalogue.session(event, pixels) as session:
            renew(session, session.forget())
            known = session.objects()
            step = _Step(self, event, session, known, calls)
            rows = step.belonging(sources, rows)
            session.add_sources(rows, sources)
            return step.told(rows, step.forced(images))

    def forget(self, event: VisitReady) -> None:
        """Remove what an earlier run of an exposure has left in the catalogue."""
        with self.catalogue.session(event, np.zeros(0, np.int64)) as session:
            renew(session, session.forget())


@dataclass(frozen=True, slots=True)
class _Step:
    """The association of one exposure, inside its transaction."""

    association: Association
    event: VisitReady
    session: CatalogueSession
    known: DiaObjects
    calls: StageCalls
    metrics: dict[str, float] = field(default_factory=dict)

    def belonging(self, sources: DiaSources, rows: SourceRows) -> SourceRows:
        """Return the rows with the ids of what they belong to."""
        ss_object_ids = self._moving(sources)
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

    def forced(self, images: Images | None) -> ForcedRows:
        """Return the forced sources of the exposure; they are kept."""
        if images is None or not self.association.forced_photometry:
            return ForcedRows.empty()
        rows = self.calls("forced", forced_sources, self.event, images, self.known)
        self.session.add_forced(rows)
        return rows

    def told(self, rows: SourceRows, forced: ForcedRows) -> Associated:
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
                since_mjd=before - self.association.history_days,
                before_mjd=before,
            ),
            metrics=self.metrics,
        )

    def _merges(self, objects: DiaObjects, ids: Ints) -> dict[int, int]:
        """Return the DiaObjects that became part of others, and of which."""
        others = ~np.isin(self.known.dia_object_id, objects.dia_object_id)
        return merged(
            self.session,
            DiaObjects.joined([objects, self.known.take(others)]),
            np.unique(ids[ids != NO_OBJECT]),
            radius_arcsec=self.association.associator.radius_arcsec,
        )

    def _moving(self, sources: DiaSources) -> Ints:
        """Return the ids of the solar-system objects of DiaSources; 0 for none."""
        none = np.full(len(sources), NO_OBJECT)
        if self.association.ephemerides is None:
            return none
        there = self.association.ephemerides.at(self.event.midpoint_mjd_tai)
        found = self._answer(sources, there)
        return np.where(found == NEW_OBJECT, NO_OBJECT, found)

    def _answer(self, sources: DiaSources, objects: DiaObjects) -> Ints:
        """Return what the associator says, if it keeps the contract."""
        if not len(sources):
            return np.zeros(0, np.int64)
        name = self.calls.name("associate")
        answer = self.calls(
            "associate", self.association.associator.associate, sources, objects
        )
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


def _require_positions(event: VisitReady, rows: SourceRows) -> None:
    if not (np.isfinite(rows.ra).all() and np.isfinite(rows.dec).all()):
        raise PluginContractError(
            f"{event.exposure_id}: ra and dec of a DiaSource are not finite"
        )
