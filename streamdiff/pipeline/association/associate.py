"""The DiaSources of one exposure into the catalogue, and their history out of it."""

from dataclasses import dataclass, field, replace

import numpy as np

from streamdiff.errors import PluginContractError
from streamdiff.imaging.sky_pixels import pixels_of_image, sky_pixels
from streamdiff.model import (
    Column,
    DiaSources,
    ForcedRows,
    SourceRows,
    VisitReady,
)
from streamdiff.model.ephemerides import Ephemerides
from streamdiff.pipeline.association.forced import ForcedImages
from streamdiff.pipeline.association.renew import renew
from streamdiff.pipeline.association.step import Step
from streamdiff.pipeline.association.told import Associated
from streamdiff.pipeline.result import VisitResult
from streamdiff.pipeline.stage import StageCalls
from streamdiff.ports import Catalogue
from streamdiff.stages import Associator

OBJECT_COLUMNS = (
    Column("diaObjectId", "i8", "", "Identifier of the DiaObject; 0: none"),
    Column("ssObjectId", "i8", "", "Identifier of the solar-system object; 0: none"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """Associates exposures, each in one transaction of the catalogue.

    An exposure that was associated before is forgotten first: whatever the earlier
    run has found, the catalogue is left as if it had not been. Nothing depends on the
    time of processing, which is kept.

    Attributes
    ----------
    catalogue : Catalogue
    associator : Associator
    ephemerides : Ephemerides
        Of objects of the solar system: DiaSources of these belong to no DiaObject.
    forced_photometry : bool
        Whether fluxes are measured at all known DiaObjects, where there are images.
    history_days : float
        How far back alerts tell of a DiaObject.
    """

    catalogue: Catalogue
    associator: Associator
    ephemerides: Ephemerides = field(default_factory=Ephemerides.empty)
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
            processed_mjd_tai=result.processed_mjd_tai,
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
        images: ForcedImages | None = None,
        processed_mjd_tai: float = np.nan,
    ) -> Associated:
        """Return what DiaSources belong to, and keep them.

        Parameters
        ----------
        event : VisitReady
        sources : DiaSources
            With ids and sky positions.
        calls : StageCalls
        images : ForcedImages, optional
            For forced photometry.
        processed_mjd_tai : float
            When the exposure was processed; NaN if that is not known.
        """
        rows = SourceRows.of_table(sources)
        _require_positions(event, rows)
        pixels = sky_pixels(rows.ra, rows.dec)
        if images is not None:
            area = pixels_of_image(images.difference.wcs, images.difference.shape)
            pixels = np.concatenate([pixels, area])
        moving = self.ephemerides.at(event.midpoint_mjd_tai)
        with self.catalogue.session(event, pixels) as session:
            renew(session, session.forget())
            step = Step(
                associator=self.associator,
                calls=calls,
                event=event,
                session=session,
                known=session.objects(),
            )
            rows = step.belonging(sources, rows, moving)
            session.add_sources(rows, sources)
            forced = ForcedRows.empty()
            if images is not None and self.forced_photometry:
                forced = step.forced(images, processed_mjd_tai)
            return step.told(
                rows,
                forced,
                history_days=self.history_days,
                ephemerides=self.ephemerides,
            )

    def forget(self, event: VisitReady) -> None:
        """Remove what an earlier run of an exposure has left in the catalogue."""
        with self.catalogue.session(event, np.zeros(0, np.int64)) as session:
            renew(session, session.forget())


def _require_positions(event: VisitReady, rows: SourceRows) -> None:
    if not (np.isfinite(rows.ra).all() and np.isfinite(rows.dec).all()):
        raise PluginContractError(
            f"{event.exposure_id}: ra and dec of a DiaSource are not finite"
        )
