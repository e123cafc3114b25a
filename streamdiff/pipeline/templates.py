"""One template-update event in, one rebuilt patch out.

No Kafka, no FITS, no clock in here.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from streamdiff.errors import (
    InvalidExposureError,
    UnprocessableError,
    VersionConflictError,
)
from streamdiff.imaging.skymap import Tessellation
from streamdiff.model import (
    Action,
    Coadd,
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
from streamdiff.pipeline.per_patch import Footprint, per_patch
from streamdiff.pipeline.results import checked_coadd, checked_warp
from streamdiff.pipeline.stage import StageCalls
from streamdiff.ports import ExposureSpool, TemplateStore
from streamdiff.stages import Coadder, Warper

# Builds of one version, before the whole event is tried again later.
_MOST_RACES = 5


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
    flavours : mapping of str to Coadder
        Those of templates that have one of their own, by template name.
    store : TemplateStore
    skymap : Tessellation
    spool : callable
        Gives what holds the warps of one stack.
    plugin_names : mapping of str to str
        Stage -> name of its plugin, for messages.
    plugin_labels : mapping of str to str
        Stage -> "name distribution version".
    monotonic : callable
        Seconds that never go back.
    """

    exposures: ExposureSource
    warper: Warper
    coadder: Coadder
    flavours: Mapping[str, Coadder] = field(default_factory=dict)
    store: TemplateStore
    skymap: Tessellation
    spool: Callable[[], AbstractContextManager[ExposureSpool]]
    plugin_names: Mapping[str, str]
    plugin_labels: Mapping[str, str] = field(default_factory=dict)
    monotonic: Callable[[], float]

    def __call__(self, event: TemplateUpdate) -> TemplateResult:
        """Return the outcome for one patch; see `expand` for "covering" events.

        An exposure that can not be used is reported among the inputs and left out
        of the version. An event delivered again changes nothing. Exposures that are
        too few for a version are held for the next update.

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
            self.store.retire(template_id, update_id=event.event_id)
            self.store.collect(template_id)
            return TemplateResult(template_id=template_id)
        for _ in range(_MOST_RACES - 1):
            # What another writer has just made is what the next version grows from.
            with suppress(VersionConflictError):
                return self._update(event, template_id)
        return self._update(event, template_id)

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

    def _made_before(self, template_id: TemplateId, version: int) -> TemplateResult:
        """Return the result of an update that is delivered again."""
        if not version:
            held = "its exposures are held: they are too few"
            return _skipped(template_id, Skip(Reason.INSUFFICIENT_EPOCHS, held))
        coadd = self.store.load(template_id, version)
        return TemplateResult(
            template_id=template_id,
            version=version,
            inputs=() if coadd is None else coadd.inputs,
            metrics={} if coadd is None else coadd.metrics,
        )

    def _update(self, event: TemplateUpdate, template_id: TemplateId) -> TemplateResult:
        """Return the result of building the next version, or of having built it.

        Raises
        ------
        VersionConflictError
            If another writer builds it at the same time, and is faster.
        """
        version = self.store.made_by(template_id, event.event_id)
        if version is not None:
            return self._made_before(template_id, version)
        last = self.store.last(template_id)
        visits = self._inputs(event, template_id)
        if visits:
            return self._build(event, template_id, visits, last)
        left = f"{event.action} leaves no exposure: retire the template instead"
        return _skipped(template_id, Skip(Reason.INSUFFICIENT_EPOCHS, left))

    def _inputs(
        self, event: TemplateUpdate, template_id: TemplateId
    ) -> tuple[VisitReady, ...]:
        """Return the events of the exposures that the next version is made of.

        In the order of time: in which order they came makes no difference.
        """
        current = self.store.current(template_id)
        named = {visit.exposure_id: visit for visit in event.exposures}
        kept = [visit for visit in current if visit.exposure_id not in named]
        match event.action:
            case Action.ADD:
                chosen = [*kept, *named.values()]
            case Action.REPLACE:
                chosen = [*named.values()]
            case Action.REMOVE:
                chosen = kept
            case _:
                chosen = [*current]
        return tuple(sorted(chosen, key=_in_time))

    def _build(
        self,
        event: TemplateUpdate,
        template_id: TemplateId,
        visits: Sequence[VisitReady],
        last: int,
    ) -> TemplateResult:
        calls = self._calls()
        # A rebuild starts from the images, whatever has been cached.
        fresh = event.action is Action.REBUILD
        read = list[VisitReady]()
        errors, unreadable = list[UnprocessableError](), list[CoaddInput]()
        with self.spool() as warps:
            for visit in visits:
                try:
                    warps.append(self._warp(template_id, visit, calls, fresh=fresh))
                    read.append(visit)
                except UnprocessableError as err:
                    errors.append(err)
                    unreadable.append(_rejected(visit, str(err)))
            if not read:
                raise errors[0]
            flavour = template_id.name
            stage = f"coadd.{flavour}" if flavour in self.flavours else "coadd"
            coadder = self.flavours.get(flavour, self.coadder)
            result = calls(stage, coadder.coadd, template_id, warps)
        if isinstance(result, Skip):
            held = self._held(event, template_id, read, last, result)
            return replace(_skipped(template_id, result), inputs=(*held, *unreadable))
        with calls.judging(stage) as plugin:
            coadd = checked_coadd(plugin, template_id, result)
        coadd = _with_inputs(coadd, unreadable)
        # What the coadder has left out may be good enough for a later version.
        version = self.store.save(coadd, read, after=last, update_id=event.event_id)
        self.store.collect(template_id)
        return TemplateResult(
            template_id=template_id,
            version=version,
            inputs=coadd.inputs,
            metrics=coadd.metrics,
            stage_seconds=dict(calls.seconds),
        )

    def _held(
        self,
        event: TemplateUpdate,
        template_id: TemplateId,
        visits: Sequence[VisitReady],
        last: int,
        skip: Skip,
    ) -> tuple[CoaddInput, ...]:
        """Keep exposures that are too few for the next update, and report on them."""
        if skip.reason is not Reason.INSUFFICIENT_EPOCHS:
            return ()
        self.store.hold(template_id, visits, after=last, update_id=event.event_id)
        why = "held until there are enough"
        return tuple(_rejected(visit, why) for visit in visits)

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
        key = template_id.tract, template_id.patch
        wcs, shape = self.skymap.wcs(*key), self.skymap.shape(*key)
        warp = calls("warp", self.warper.warp, exposure, wcs, shape)
        with calls.judging("warp") as plugin:
            warp = checked_warp(plugin, warp, shape, exposure)
        self.store.save_warp(template_id, visit, warp)
        return warp

    def _calls(self) -> StageCalls:
        return StageCalls(
            monotonic=self.monotonic,
            names=self.plugin_names,
            labels=self.plugin_labels,
        )


def _wrong_band(template_id: TemplateId, visit: VisitReady) -> InvalidExposureError:
    return InvalidExposureError(
        f"{visit.exposure_id} is in band {visit.band!r}, the template {template_id} "
        f"in {template_id.band!r}"
    )


def _rejected(visit: VisitReady, why: str) -> CoaddInput:
    return CoaddInput(id=visit.exposure_id, weight=0.0, accepted=False, reason=why)


def _with_inputs(coadd: Coadd, unused: Sequence[CoaddInput]) -> Coadd:
    """Return a coadd that also reports on inputs that it does not use."""
    inputs = (*coadd.inputs, *unused)
    n_bytes = -(-len(inputs) // 8)
    return replace(
        coadd,
        inputs=inputs,
        input_map=_with_room(coadd.input_map, n_bytes),
        artifact_map=_with_room(coadd.artifact_map, n_bytes),
    )


def _with_room(
    bits: NDArray[np.uint8] | None, n_bytes: int
) -> NDArray[np.uint8] | None:
    """Return a map of inputs with more of them, which contribute nowhere."""
    if bits is None:
        return None
    return np.pad(bits, ((0, n_bytes - len(bits)), (0, 0), (0, 0)))


def _in_time(visit: VisitReady) -> tuple[float, str]:
    return visit.midpoint_mjd_tai, str(visit.exposure_id)


def _skipped(template_id: TemplateId, skip: Skip) -> TemplateResult:
    return TemplateResult(
        template_id=template_id,
        outcome=skip.reason.outcome,
        reason=skip.reason,
        detail=skip.detail,
    )
