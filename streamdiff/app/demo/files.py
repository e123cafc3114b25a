"""The exposures of a simulated survey as files, and the events that announce them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from streamdiff.adapters.fits.exposure import encode_exposure
from streamdiff.app.output import file_stem
from streamdiff.model import (
    Action,
    Exposure,
    TemplateUpdate,
    VisitReady,
)

# Visits go round these, so that several can be in work at once: events of one
# detector are processed in their order.
DETECTORS = 4


def write_exposures(
    exposures: Iterable[Exposure], folder: Path, tick: Callable[[], None]
) -> Iterator[VisitReady]:
    """Write exposures as FITS files and yield the event of each."""
    folder.mkdir(parents=True, exist_ok=True)
    for exposure in exposures:
        assigned = _on_a_detector(exposure)
        identity = assigned.exposure_id
        path = folder / f"{file_stem(identity)}.fits"
        path.write_bytes(encode_exposure(assigned))
        tick()
        yield VisitReady(
            event_id=str(identity),
            instrument=identity.instrument,
            visit=identity.visit,
            detector=identity.detector,
            band=identity.band,
            midpoint_mjd_tai=assigned.midpoint_mjd_tai,
            exposure_time_s=assigned.exposure_time_s,
            image_uri=path.resolve().as_uri(),
            published_at=datetime.now(UTC),
        )


def template_update(epochs: Iterable[VisitReady]) -> TemplateUpdate:
    """Return the event that makes templates of exposures, wherever they are."""
    exposures = tuple(epochs)
    return TemplateUpdate(
        event_id="demo-templates",
        band=exposures[0].band,
        action=Action.ADD,
        exposures=exposures,
        published_at=datetime.now(UTC),
    )


def _on_a_detector(exposure: Exposure) -> Exposure:
    identity = exposure.exposure_id
    detector = identity.visit % DETECTORS
    return replace(exposure, id=replace(identity, detector=detector))
