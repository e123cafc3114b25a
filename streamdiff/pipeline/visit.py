"""From one visit-ready event to its outcome and alerts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from streamdiff.model import UNUSABLE, Exposure, Reason, Skip, Template, VisitReady
from streamdiff.pipeline.compare import Comparison
from streamdiff.pipeline.exposures import ExposureSource
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
    plugin_names : mapping of str to str
        Stage -> name of its plugin, for messages.
    monotonic : callable
        Seconds that never go back.
    """

    exposures: ExposureSource
    templates: TemplateSource
    comparison: Comparison
    plugin_names: Mapping[str, str]
    monotonic: Callable[[], float]

    def __call__(self, event: VisitReady) -> VisitResult:
        """Return the outcome and the alerts of one detector image.

        Safe to repeat: the same event, templates and plugins give the same
        result.

        Raises
        ------
        UnprocessableError
            If the visit fails for good.
        RetryableError
            If it may succeed a little later.
        """
        calls = StageCalls(monotonic=self.monotonic, names=self.plugin_names)
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
        return self.comparison.run(event, science, cover, calls)
