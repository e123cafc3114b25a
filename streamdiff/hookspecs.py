"""The hooks that a plugin may implement.

Hooks of the first group are called once, at start-up, and return
``{name: factory}``: the names that a configuration may use, and for each a frozen
keyword-only dataclass or a function whose parameters are the plugin's options.
Hooks of the second group are called while events are processed; their failures
are logged and never fatal.
"""

from collections.abc import Callable, Mapping

import pluggy

from streamdiff.model import TemplateRebuilt, VisitProcessed, VisitReady
from streamdiff.stages import (
    AlertFormat,
    Associator,
    Coadder,
    Decorrelator,
    EventDecoder,
    ExposureReader,
    Measurer,
    PsfEstimator,
    Registrar,
    Scorer,
    SourceFinder,
    Subtractor,
    Warper,
)

PROJECT = "streamdiff"

# Raised when a plugin written for the old contract could not work with the new. A
# name that is to go warns for two minor releases first, from 1.0 on.
API_VERSION = 1

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def streamdiff_readers() -> Mapping[str, Callable[..., ExposureReader]]:  # type: ignore[empty-body]
    """Offer readers of exposures, for ``[pipeline] read``."""


@hookspec
def streamdiff_psf_estimators() -> Mapping[str, Callable[..., PsfEstimator]]:  # type: ignore[empty-body]
    """Offer estimators of the PSF, for ``[pipeline] psf``."""


@hookspec
def streamdiff_registrars() -> Mapping[str, Callable[..., Registrar]]:  # type: ignore[empty-body]
    """Offer image-to-image registration, for ``[pipeline] register``."""


@hookspec
def streamdiff_warpers() -> Mapping[str, Callable[..., Warper]]:  # type: ignore[empty-body]
    """Offer resampling algorithms, for ``[pipeline] warp``."""


@hookspec
def streamdiff_subtractors() -> Mapping[str, Callable[..., Subtractor]]:  # type: ignore[empty-body]
    """Offer subtraction algorithms, for ``[pipeline] subtract``."""


@hookspec
def streamdiff_decorrelators() -> Mapping[str, Callable[..., Decorrelator]]:  # type: ignore[empty-body]
    """Offer whitening of the noise, for ``[pipeline] decorrelate``."""


@hookspec
def streamdiff_source_finders() -> Mapping[str, Callable[..., SourceFinder]]:  # type: ignore[empty-body]
    """Offer detection algorithms, for ``[pipeline] find``."""


@hookspec
def streamdiff_measurers() -> Mapping[str, Callable[..., Measurer]]:  # type: ignore[empty-body]
    """Offer measurements of DiaSources, for ``[pipeline] measure``."""


@hookspec
def streamdiff_scorers() -> Mapping[str, Callable[..., Scorer]]:  # type: ignore[empty-body]
    """Offer reliability scores, for ``[pipeline] score``."""


@hookspec
def streamdiff_associators() -> Mapping[str, Callable[..., Associator]]:  # type: ignore[empty-body]
    """Offer association with DiaObjects, for ``[pipeline] associate``."""


@hookspec
def streamdiff_coadders() -> Mapping[str, Callable[..., Coadder]]:  # type: ignore[empty-body]
    """Offer coaddition algorithms, for ``[pipeline] coadd``."""


@hookspec
def streamdiff_alert_formats() -> Mapping[str, Callable[..., AlertFormat]]:  # type: ignore[empty-body]
    """Offer wire formats of alerts, for ``[pipeline] formats``.

    Notes
    -----
    A format with ``headers`` (`streamdiff.stages.HeadedFormat`) adds them to every
    message; one with ``schema`` and ``with_schema_id``
    (`streamdiff.stages.RegisteredFormat`) gets the id of its schema from a Schema
    Registry, where one is configured.
    """


@hookspec
def streamdiff_event_decoders() -> Mapping[str, Callable[..., EventDecoder]]:  # type: ignore[empty-body]
    """Offer decoders of foreign messages, for ``[stream] event_decoders``."""


@hookspec
def streamdiff_visit_started(event: VisitReady) -> None:
    """Observe that work on a visit begins."""


@hookspec
def streamdiff_visit_finished(event: VisitReady, report: VisitProcessed) -> None:
    """Observe the end of a visit that was processed or skipped."""


@hookspec
def streamdiff_visit_failed(event: VisitReady, report: VisitProcessed) -> None:
    """Observe the end of a visit that failed."""


@hookspec
def streamdiff_template_rebuilt(report: TemplateRebuilt) -> None:
    """Observe the end of a rebuild, whatever its outcome."""
