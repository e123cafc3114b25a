"""A monitor that has seen a little, and its pages."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from astropy.wcs import WCS
from starlette.testclient import TestClient

from streamdiff.adapters.avro.alert import alert_record
from streamdiff.adapters.avro.schemas import load
from streamdiff.app.monitor.intake import Intake
from streamdiff.app.monitor.recent import Limits, Recent
from streamdiff.app.monitor.site import site
from streamdiff.model import (
    Alert,
    ConstantPsf,
    Exposure,
    ExposureId,
    Outcome,
    Provenance,
    Reason,
    TemplateUse,
    VisitProcessed,
    VisitReady,
)

NOW = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)
HOSTILE = """<script>alert(1)</script>"'><img src=x onerror=alert(2)>"""
SIDE = 31


def tangent():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crpix = [16, 16]
    wcs.wcs.cd = np.diag([-0.2, 0.2]) / 3600
    return wcs


def stamp(seed):
    y, x = np.mgrid[-15:16, -15:16]
    noise = np.random.default_rng(seed).normal(size=(SIDE, SIDE))
    image = (noise + 30 * np.exp(-(x**2 + y**2) / 8)).astype(np.float32)
    image[0, 0] = np.nan
    return Exposure(
        id=ExposureId(instrument="SimCam", visit=7, detector=3, band="r"),
        image=image,
        variance=np.ones((SIDE, SIDE)),
        mask=np.zeros((SIDE, SIDE), np.int32),
        wcs=tangent(),
        psf=ConstantPsf(np.ones((3, 3))),
    )


def alert(number, **columns):
    values = {
        "diaSourceId": 1000 + number,
        "visit": 7 + number // 4,
        "detector": number % 4,
        "band": "gr"[number % 2],
        "midpointMjdTai": 61000.0 + number,
        "ra": 150.0,
        "dec": 2.0,
        "x": 50.0,
        "y": 20.0,
        "snr": 5.0 + number,
        "psfFlux": 1000.0 + 10 * number,
        "psfFluxErr": 100.0,
        "reliability": number / 10,
        "isDipole": number == 3,
        "diaObjectId": 77 if number < 4 else None,
        "isNegative": False,
    }
    return alert_record(
        Alert(
            event_id=f"e{number}",
            dia_source=values | columns,
            cutout_difference=stamp(number),
            cutout_science=stamp(number + 1),
            cutout_template=stamp(number + 2),
            templates=(TemplateUse(template_id="d/1/2/r", version=1, fraction=1),),
            provenance=Provenance(config_hash="c0ffee", software_version="1"),
        )
    )


def event(number):
    shutter = NOW - timedelta(minutes=5, seconds=number)
    midpoint = shutter - timedelta(seconds=15)
    return VisitReady(
        event_id=f"e{number}",
        instrument="SimCam",
        visit=7 + number // 4,
        detector=number % 4,
        band="r",
        # TAI is 37 s ahead
        midpoint_mjd_tai=40587 + (midpoint.timestamp() + 37) / 86400,
        exposure_time_s=30.0,
        image_uri="file:///x",
        published_at=shutter + timedelta(seconds=10),
    )


def report(number, outcome=Outcome.PROCESSED, reason=None, **values):
    asked = event(number)
    return VisitProcessed(
        event_id=asked.event_id,
        instrument=asked.instrument,
        visit=asked.visit,
        detector=asked.detector,
        band=asked.band,
        outcome=outcome,
        reason=reason,
        n_alerts=number,
        finished_at=asked.published_at + timedelta(seconds=50),
        **values,
    )


@pytest.fixture
def make_recent():
    """Return a function: records of alerts -> a monitor that has taken them."""

    def make(records, limits=None):
        recent = Recent(limits=limits or Limits())
        intake = Intake(recent=recent)
        for record in records:
            intake.take_alert(record, load("alert"), "a test")
        return recent

    return make


@pytest.fixture(scope="session")
def records():
    """Return twelve alerts; four are of one object."""
    return [alert(number) for number in range(12)]


@pytest.fixture
def recent(make_recent, records):
    """Return a monitor that knows alerts, events and reports of three outcomes."""
    recent = make_recent(records)
    for number in range(9):
        recent.add_event(event(number))
    for number in range(6):
        recent.add_report(report(number))
    recent.add_report(report(6, Outcome.SKIPPED, Reason.NO_TEMPLATE))
    recent.add_report(report(7, Outcome.FAILED, Reason.TIMEOUT))
    return recent


@pytest.fixture
def browse():
    """Return a function: a monitor -> who asks for its pages."""

    def make(recent, **options):
        app = site(recent, now=lambda: NOW, **options)
        return TestClient(app, base_url="http://127.0.0.1:8090")

    return make


@pytest.fixture
def pages(browse, recent):
    """Return who asks for the pages of `recent`."""
    return browse(recent)


@pytest.fixture
def hostile_records():
    """Return alerts whose every text is hostile, and whose cutouts are no images."""
    record = alert(0, band=HOSTILE)
    provenance = record["provenance"] | {
        "event_id": HOSTILE,
        "plugins": {HOSTILE: HOSTILE},
        "config_hash": HOSTILE,
        "flux_unit": HOSTILE,
    }
    return [record | {"provenance": provenance, "cutoutScience": HOSTILE.encode()}]


@pytest.fixture
def hostile(make_recent, hostile_records):
    """Return a monitor that has taken nothing but hostile texts."""
    recent = make_recent(hostile_records)
    recent.add_event(replace(event(0), instrument=HOSTILE, band=HOSTILE))
    recent.add_report(
        replace(report(0), instrument=HOSTILE, band=HOSTILE, detail=HOSTILE)
    )
    recent.add_problem(HOSTILE)
    return recent


@pytest.fixture(scope="session")
def now():
    """Return the time of the monitor."""
    return NOW


@pytest.fixture(name="alert", scope="session")
def alert_of():
    """Return a function: a number and columns -> the record of an alert."""
    return alert


@pytest.fixture(name="event", scope="session")
def event_of():
    """Return a function: a number -> an event, published 10 s after the exposure."""
    return event


@pytest.fixture(name="report", scope="session")
def report_of():
    """Return a function: a number -> the report, 60 s after the exposure."""
    return report
