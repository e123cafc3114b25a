"""What the pipeline makes of one visit-ready event."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from streamdiff.model import (
    Alert,
    Column,
    DiaSources,
    Outcome,
    Reason,
    Skip,
    TemplateUse,
    VisitReady,
)
from streamdiff.pipeline.recovery import Recovery
from streamdiff.stages import Images

TIME_COLUMN = Column("timeProcessedMjdTai", "f8", "d", "Time of processing, MJD, TAI")
# The same among the metrics of a visit, where a replay finds it.
TIME_METRIC = "time_processed_mjd_tai"


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

    def at(self, mjd_tai: float) -> "VisitResult":
        """Return the result with its time of processing; that of a skip is none."""
        if self.products is None:
            return self
        name, sources = TIME_COLUMN.name, self.products.sources
        timed = sources.with_columns(
            (TIME_COLUMN,), {name: np.full(len(sources), mjd_tai)}
        )
        return replace(
            self,
            products=replace(self.products, sources=timed),
            alerts=tuple(
                replace(alert, dia_source={**alert.dia_source, name: mjd_tai})
                for alert in self.alerts
            ),
            metrics={**self.metrics, TIME_METRIC: mjd_tai},
        )

    @property
    def processed_mjd_tai(self) -> float:
        """Return the time of processing [MJD, TAI]; NaN if it is not told."""
        return self.metrics.get(TIME_METRIC, math.nan)
