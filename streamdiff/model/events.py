"""The events that come in and the reports that go out (architecture: topics).

Field names are those of the Avro records in ``schemas``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import numpy as np

from streamdiff.model.coadd import CoaddInput
from streamdiff.model.ids import ExposureId, TemplateId
from streamdiff.model.outcomes import Outcome, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitReady:
    """One calibrated detector image is ready to be processed.

    Attributes
    ----------
    event_id : str
        The same id means the same event, delivered again.
    instrument, visit, detector, band
        See `ExposureId`.
    physical_filter : str or None
        The glass in this camera.
    midpoint_mjd_tai : float
        Time of mid-exposure [MJD, TAI].
    exposure_time_s : float
        Not negative.
    image_uri : str
        Multi-extension exposure or plain camera frame.
    mask_uri, variance_uri, psf_uri : str or None
        Planes kept in files of their own.
    catalogue_uri : str or None
        Table of the stars on the image.
    image_sha256 : str or None
        Expected checksum of the image file, in hexadecimal.
    template_name : str
        Flavour of the template.
    template_version : int or None
        Version to use; `None` for the newest.
    published_at : datetime
        With a time zone.

    Raises
    ------
    ValueError
        If a value is out of range.
    """

    event_id: str
    instrument: str
    visit: int
    detector: int
    band: str
    midpoint_mjd_tai: float
    exposure_time_s: float
    image_uri: str
    published_at: datetime
    physical_filter: str | None = None
    mask_uri: str | None = None
    variance_uri: str | None = None
    psf_uri: str | None = None
    catalogue_uri: str | None = None
    image_sha256: str | None = None
    template_name: str = "deep"
    template_version: int | None = None

    def __post_init__(self) -> None:
        _ = self.exposure_id
        if not (self.event_id and self.image_uri):
            raise ValueError("event_id and image_uri must not be empty")
        if not np.isfinite(self.midpoint_mjd_tai):
            raise ValueError(
                f"midpoint_mjd_tai must be finite, got {self.midpoint_mjd_tai}"
            )
        if not (np.isfinite(self.exposure_time_s) and self.exposure_time_s >= 0):
            raise ValueError(
                f"exposure_time_s must be >= 0, got {self.exposure_time_s}"
            )
        _require_time_zone(self.published_at)

    @property
    def exposure_id(self) -> ExposureId:
        """Return which detector image this is."""
        return ExposureId(
            instrument=self.instrument,
            visit=self.visit,
            detector=self.detector,
            band=self.band,
        )


class Action(StrEnum):
    """What a template-update asks for."""

    ADD = "add"
    REPLACE = "replace"
    REMOVE = "remove"
    REBUILD = "rebuild"
    RETIRE = "retire"


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateUpdate:
    """Exposures are to join, replace or leave the coadds that they touch.

    Attributes
    ----------
    event_id : str
    template_name : str
    tract, patch : int or None
        Both `None` for "covering": every patch that the exposures touch.
    band : str
    action : Action
    exposures : tuple of VisitReady
        What to add, to put in place of all inputs, or to remove.
    published_at : datetime
        With a time zone.

    Raises
    ------
    ValueError
        If only one of tract and patch is given, a "covering" update names no
        exposure, a part can not be part of a template id, or the time has no zone.
    """

    event_id: str
    band: str
    action: Action
    published_at: datetime
    template_name: str = "deep"
    tract: int | None = None
    patch: int | None = None
    exposures: tuple[VisitReady, ...] = ()

    def __post_init__(self) -> None:
        if (self.tract is None) != (self.patch is None):
            raise ValueError("tract and patch must both be given, or both be null")
        if self.tract is None and not self.exposures:
            raise ValueError("a covering update must name exposures")
        _ = self._template_id(self.tract or 0, self.patch or 0)
        _require_time_zone(self.published_at)

    @property
    def template_id(self) -> TemplateId | None:
        """Return the template; `None` for "covering"."""
        if self.tract is None or self.patch is None:
            return None
        return self._template_id(self.tract, self.patch)

    def _template_id(self, tract: int, patch: int) -> TemplateId:
        return TemplateId(
            name=self.template_name, tract=tract, patch=patch, band=self.band
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateUse:
    """A version of a template, and how much of the image it covers.

    Attributes
    ----------
    template_id : str
        Text of a `TemplateId`.
    version : int
    fraction : float
        Fraction of the image's pixels, in [0, 1].
    """

    template_id: str
    version: int
    fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What made a result.

    Attributes
    ----------
    plugins : mapping of str to str
        Kind of plugin -> "name distribution version".
    config_hash : str
    software_version : str
    """

    plugins: Mapping[str, str] = field(default_factory=dict)
    config_hash: str = ""
    software_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitProcessed:
    """The one report on a visit-ready event.

    Attributes
    ----------
    event_id, instrument, visit, detector, band
        Those of the event.
    outcome : Outcome
    reason : Reason or None
        `None` exactly when processed.
    detail : str or None
        The reason in a sentence.
    n_alerts : int
    n_filtered : mapping of str to int
        DiaSources that did not become alerts, by why.
    metrics, stage_seconds : mapping of str to float
    templates : tuple of TemplateUse
    provenance : Provenance
        Flattened in the record: plugins, config_hash, software_version.
    attempts : int
    finished_at : datetime
        With a time zone.
    """

    event_id: str
    instrument: str
    visit: int
    detector: int
    band: str
    outcome: Outcome
    finished_at: datetime
    reason: Reason | None = None
    detail: str | None = None
    n_alerts: int = 0
    n_filtered: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    templates: tuple[TemplateUse, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)
    attempts: int = 1

    def __post_init__(self) -> None:
        _require_consistent(self.outcome, self.reason)
        _require_time_zone(self.finished_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateRebuilt:
    """The report on a template-update event for one patch.

    Attributes
    ----------
    event_id : str
    template_id : str
        Text of a `TemplateId`.
    version : int
        Version that was made; 0 for none.
    outcome : Outcome
    reason : Reason or None
        `None` exactly when processed.
    n_epochs : int
        Accepted inputs.
    inputs : tuple of CoaddInput
    metrics : mapping of str to float
    software_version : str
    finished_at : datetime
        With a time zone.
    """

    event_id: str
    template_id: str
    version: int
    outcome: Outcome
    finished_at: datetime
    reason: Reason | None = None
    n_epochs: int = 0
    inputs: tuple[CoaddInput, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    software_version: str = ""

    def __post_init__(self) -> None:
        _require_consistent(self.outcome, self.reason)
        _require_time_zone(self.finished_at)


def _require_consistent(outcome: Outcome, reason: Reason | None) -> None:
    expected = Outcome.PROCESSED if reason is None else reason.outcome
    if outcome is not expected:
        raise ValueError(f"reason {reason} does not go with outcome {outcome}")


def _require_time_zone(time: datetime) -> None:
    if time.tzinfo is None:
        raise ValueError(f"times of events need a time zone, got {time.isoformat()}")
