"""One template-update event in, one rebuilt patch out.

No Kafka, no FITS, no clock in here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from astropy.wcs import WCS

from streamdiff.errors import InvalidExposureError, UnprocessableError
from streamdiff.imaging.skymap import Tessellation
from streamdiff.model import (
    Action,
    CoaddInput,
    Exposure,
    Outcome,
    Reason,
    Skip,
    TemplateId,
    TemplateUpdate,
    VisitReady,
)
from streamdiff.pipeline.exposures import ExposureSource
from streamdiff.pipeline.stage import StageCalls
from streamdiff.ports import TemplateStore
from streamdiff.stages import Coadder, Warper


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateResult:
    """What became of a template-update event for one patch.

    Attributes
    ----------
    template_id : TemplateId
    version : int
        Version that was made; 0 for none.
    outcome : Outcome
    reason : Reason or None
        `None` exactly when processed.
    detail : str or None
        The reason in a sentence.
    inputs : tuple of CoaddInput
    metrics, stage_seconds : mapping of str to float
    """

    template_id: TemplateId
    version: int = 0
    outcome: Outcome = Outcome.PROCESSED
    reason: Reason | None = None
    detail: str | None = None
    inputs: tuple[CoaddInput, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    stage_seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplatePipeline:
    """Turns a template-update event into the next version of a coadd.

    Attributes
    ----------
    exposures : ExposureSource
    warper : Warper
    coadder : Coadder
    store : TemplateStore
    skymap : Tessellation
    plugin_names : mapping of str to str
        Stage -> name of its plugin, for messages.
    monotonic : callable
        Seconds that never go back.
    """

    exposures: ExposureSource
    warper: Warper
    coadder: Coadder
    store: TemplateStore
    skymap: Tessellation
    plugin_names: Mapping[str, str]
    monotonic: Callable[[], float]

    def __call__(self, event: TemplateUpdate) -> TemplateResult:
        """Return the outcome for one patch; see `expand` for "covering" events.

        An exposure that can not be used is reported among the inputs and left out
        of the version.

        Raises
        ------
        ValueError
            If the event names no patch.
        UnprocessableError
            If no exposure can be used.
        RetryableError
            If a file or the store can not be reached.
        """
        template_id = event.template_id
        if template_id is None:
            raise ValueError(f"{event.event_id}: expand a covering update first")
        if event.action is Action.RETIRE:
            self.store.retire(template_id)
            return TemplateResult(template_id=template_id)
        visits = self._inputs(event, template_id)
        if visits:
            return self._build(event, template_id, visits)
        left = f"{event.action} leaves no exposure: retire the template instead"
        return _skipped(template_id, Skip(Reason.INSUFFICIENT_EPOCHS, left))

    def expand(self, event: TemplateUpdate) -> tuple[TemplateUpdate, ...]:
        """Return one event per patch that the exposures of a "covering" one touch.

        An exposure that can not be read belongs to every patch, so that each
        report tells of it.

        Raises
        ------
        UnprocessableError
            If no exposure can be read.
        """
        if event.template_id is not None:
            return (event,)
        calls = self._calls()
        footprints: list[Footprint | None] = []
        errors: list[UnprocessableError] = []
        for visit in event.exposures:
            try:
                exposure = self.exposures.read(visit, calls)
                footprints.append((exposure.wcs, exposure.shape))
            except UnprocessableError as err:
                errors.append(err)
                footprints.append(None)
        if len(errors) == len(footprints):
            raise errors[0]
        return per_patch(event, footprints, self.skymap)

    def _inputs(
        self, event: TemplateUpdate, template_id: TemplateId
    ) -> tuple[VisitReady, ...]:
        """Return the events of the exposures that the next version is made of."""
        version = self.store.newest(template_id)
        current = () if version is None else self.store.events(template_id, version)
        named = {visit.exposure_id: visit for visit in event.exposures}
        kept = tuple(visit for visit in current if visit.exposure_id not in named)
        match event.action:
            case Action.ADD:
                return kept + tuple(named.values())
            case Action.REPLACE:
                return tuple(named.values())
            case Action.REMOVE:
                return kept
            case _:
                return current

    def _build(
        self,
        event: TemplateUpdate,
        template_id: TemplateId,
        visits: Sequence[VisitReady],
    ) -> TemplateResult:
        calls = self._calls()
        # A rebuild starts from the images, whatever has been cached.
        fresh = event.action is Action.REBUILD
        warps: list[Exposure] = []
        errors: list[tuple[VisitReady, UnprocessableError]] = []
        for visit in visits:
            try:
                warps.append(self._warp(template_id, visit, calls, fresh=fresh))
            except UnprocessableError as err:
                errors.append((visit, err))
        if not warps:
            raise errors[0][1]
        coadd = calls("coadd", self.coadder.coadd, template_id, warps)
        unreadable = tuple(_rejected(visit, err) for visit, err in errors)
        if isinstance(coadd, Skip):
            return replace(_skipped(template_id, coadd), inputs=unreadable)
        inputs = coadd.inputs + unreadable
        accepted = {item.id for item in coadd.inputs if item.accepted}
        version = self.store.save(
            replace(coadd, inputs=inputs),
            [visit for visit in visits if visit.exposure_id in accepted],
        )
        return TemplateResult(
            template_id=template_id,
            version=version,
            inputs=inputs,
            metrics=coadd.metrics,
            stage_seconds=dict(calls.seconds),
        )

    def _warp(
        self,
        template_id: TemplateId,
        visit: VisitReady,
        calls: StageCalls,
        *,
        fresh: bool,
    ) -> Exposure:
        if visit.band != template_id.band:
            raise _wrong_band(template_id, visit)
        cached = None if fresh else self.store.load_warp(template_id, visit)
        if cached is not None:
            return cached
        exposure = self.exposures.load(visit, calls)
        wcs = self.skymap.wcs(template_id.tract, template_id.patch)
        warp = calls("warp", self.warper.warp, exposure, wcs, self.skymap.shape)
        self.store.save_warp(template_id, visit, warp)
        return warp

    def _calls(self) -> StageCalls:
        return StageCalls(monotonic=self.monotonic, names=self.plugin_names)


Footprint = tuple[WCS, tuple[int, int]]


def per_patch(
    event: TemplateUpdate,
    footprints: Sequence[Footprint | None],
    skymap: Tessellation,
) -> tuple[TemplateUpdate, ...]:
    """Return one event per patch that the exposures of an event touch.

    Parameters
    ----------
    event : TemplateUpdate
    footprints : sequence of (WCS, shape) or None
        Of the event's exposures, in their order; `None` counts for every patch.
    skymap : Tessellation

    Returns
    -------
    tuple of TemplateUpdate
        Ordered by tract and patch, each with the exposures that touch it.
    """
    touched = [
        None if footprint is None else set(skymap.patches_touching(*footprint))
        for footprint in footprints
    ]
    keys = sorted(set().union(*(keys for keys in touched if keys is not None)))
    return tuple(
        replace(
            event,
            event_id=f"{event.event_id}/{tract}/{patch}",
            tract=tract,
            patch=patch,
            exposures=tuple(
                visit
                for visit, keys in zip(event.exposures, touched, strict=True)
                if keys is None or (tract, patch) in keys
            ),
        )
        for tract, patch in keys
    )


def _wrong_band(template_id: TemplateId, visit: VisitReady) -> InvalidExposureError:
    return InvalidExposureError(
        f"{visit.exposure_id} is in band {visit.band!r}, the template {template_id} "
        f"in {template_id.band!r}"
    )


def _rejected(visit: VisitReady, error: UnprocessableError) -> CoaddInput:
    return CoaddInput(
        id=visit.exposure_id, weight=0.0, accepted=False, reason=str(error)
    )


def _skipped(template_id: TemplateId, skip: Skip) -> TemplateResult:
    return TemplateResult(
        template_id=template_id,
        outcome=skip.reason.outcome,
        reason=skip.reason,
        detail=skip.detail,
    )
