"""From one visit-ready event to its outcome and alerts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from streamdiff.errors import UnprocessableError
from streamdiff.model import UNUSABLE, Exposure, Reason, Skip, Template, VisitReady
from streamdiff.pipeline.association import Association
from streamdiff.pipeline.compare import Comparison, Cover
from streamdiff.pipeline.exposures import ExposureSource
from streamdiff.pipeline.inject import Injection
from streamdiff.pipeline.result import VisitResult
from streamdiff.pipeline.stage import StageCalls


class TemplateSource(Protocol):
    """Gives the template of a science exposure."""

    def cover(
        self, science: Exposure, *, name: str, version: int | None
    ) -> Template | Skip:
        """Return the template on the pixels of the science exposure."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitPipeline:
    """Turns one visit-ready event into an outcome and its alerts.

    Attributes
    ----------
    exposures : ExposureSource
    templates : TemplateSource
    comparison : Comparison
    injection : Injection or None
        Synthetic sources, to see how many are found.
    association : Association or None
        With DiaObjects; the last thing that is done, for it is kept.
    plugin_names : mapping of str to str
        Stage -> name of its plugin, for messages.
    plugin_labels : mapping of str to str
        Stage -> "name distribution version".
    monotonic : callable
        Seconds that never go back.
    now_mjd_tai : callable or None
        The time [MJD, TAI], which the results are to tell.
    """

    exposures: ExposureSource
    templates: TemplateSource
    comparison: Comparison
    injection: Injection | None = None
    association: Association | None = None
    plugin_names: Mapping[str, str]
    plugin_labels: Mapping[str, str] = field(default_factory=dict)
    monotonic: Callable[[], float]
    now_mjd_tai: Callable[[], float] | None = None

    def __call__(self, event: VisitReady) -> VisitResult:
        """Return the outcome and the alerts of one detector image.

        Safe to repeat: the same event, templates and plugins give the same
        result, but for its time. Whatever it is, the catalogue of DiaObjects has no
        trace of earlier ones.

        Raises
        ------
        UnprocessableError
            If the visit fails for good.
        RetryableError
            If it may succeed a little later.
        """
        calls = self._calls()
        if self.association is None:
            return self._result(event, calls)
        try:
            result = self._result(event, calls)
            if result.products is not None:
                return self.association(result, calls)
        except UnprocessableError:
            self.association.forget(event)
            raise
        self.association.forget(event)
        return result

    def compare(
        self, event: VisitReady, science: Exposure, cover: Cover
    ) -> VisitResult:
        """Return what a visit comes to whose images are at hand; nothing is kept.

        Raises
        ------
        UnprocessableError
            If it fails for good.
        RetryableError
            If it may succeed a little later.
        """
        return self.comparison.run(event, science, cover, self._calls())

    def _result(self, event: VisitReady, calls: StageCalls) -> VisitResult:
        result = self._compared(event, calls)
        return result if self.now_mjd_tai is None else result.at(self.now_mjd_tai())

    def _compared(self, event: VisitReady, calls: StageCalls) -> VisitResult:
        science = self.exposures.read(event, calls)
        if not science.usable(UNUSABLE).any():
            skip = Skip(Reason.NO_VALID_PIXELS, "every pixel is masked")
            return VisitResult.skipped(event, skip, calls.seconds)
        science = self.exposures.with_psf(science, calls)
        cover = partial(
            self.templates.cover,
            name=event.template_name,
            version=event.template_version,
        )
        if self.injection is not None:
            result = self.comparison.run(event, science, cover, calls)
            return self._with_injection(result, science, cover, calls)
        # Of what the comparison replaces, this frame is to hold nothing.
        handed_over = [science]
        del science
        return self.comparison.run(event, handed_over.pop(), cover, calls)

    def _with_injection(
        self, result: VisitResult, science: Exposure, cover: Cover, calls: StageCalls
    ) -> VisitResult:
        if result.products is None:
            return result
        result = calls("inject", self._with_recovery, result, science, cover)
        return replace(result, stage_seconds=dict(calls.seconds))

    def _with_recovery(
        self, result: VisitResult, science: Exposure, cover: Cover
    ) -> VisitResult:
        """Return the result with what a second run finds of injected sources."""
        if self.injection is None or not self.injection.concerns(science):
            return result
        injected = self.injection.into(science)
        # The times of the stages are those of the visit itself.
        calls = self._calls()
        try:
            again = self.comparison.run(result.event, injected.exposure, cover, calls)
        except UnprocessableError:
            # The visit itself is good.
            return result
        if again.products is None:
            return result
        recovery = injected.recovered(again.products)
        metrics = {**result.metrics, **recovery.metrics}
        return replace(result, metrics=metrics, recovery=recovery)

    def _calls(self) -> StageCalls:
        return StageCalls(
            monotonic=self.monotonic,
            names=self.plugin_names,
            labels=self.plugin_labels,
        )
