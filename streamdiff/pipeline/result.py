"""What the pipeline makes of one visit-ready event."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from streamdiff.model import (
    Alert,
    DiaSources,
    Outcome,
    Reason,
    Skip,
    TemplateUse,
    VisitReady,
)
from streamdiff.pipeline.recovery import Recovery
from streamdiff.stages import Images


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Products:
    """The images and the table of a processed visit.

    Attributes
    ----------
    images : Images
    sources : DiaSources
        With ids and sky positions: those that become alerts.
    filtered : DiaSources
        Those that do not, with the column ``filterReason``; sky sources among them
        have the id 0.
    """

    images: Images
    sources: DiaSources
    filtered: DiaSources = field(default_factory=DiaSources.empty)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VisitResult:
    """The outcome of a visit, and its alerts.

    Attributes
    ----------
    event : VisitReady
    outcome : Outcome
        Processed or skipped; a failure is an error, that may have such a result.
    reason : Reason or None
    detail : str or None
        The reason in a sentence; of a processed visit, what plugins did to the
        process that they may not.
    alerts : tuple of Alert
    n_filtered : mapping of str to int
    metrics, stage_seconds : mapping of str to float
    templates : tuple of TemplateUse
    products : Products or None
        `None` when skipped.
    recovery : Recovery or None
        What was found of injected sources, where there were any.
    """

    event: VisitReady
    outcome: Outcome
    reason: Reason | None = None
    detail: str | None = None
    alerts: tuple[Alert, ...] = ()
    n_filtered: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    templates: tuple[TemplateUse, ...] = ()
    products: Products | None = None
    recovery: Recovery | None = None

    @classmethod
    def skipped(
        cls,
        event: VisitReady,
        skip: Skip,
        stage_seconds: Mapping[str, float] = MappingProxyType({}),
    ) -> "VisitResult":
        """Return the result of a visit that there was nothing to do for."""
        return cls(
            event=event,
            outcome=Outcome.SKIPPED,
            reason=skip.reason,
            detail=skip.detail or None,
            stage_seconds=dict(stage_seconds),
        )
