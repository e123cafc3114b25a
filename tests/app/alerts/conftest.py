"""Alerts as records, and the places where they are written."""

import copy

import numpy as np
import pytest
from astropy.wcs import WCS

from streamdiff.adapters.avro import wire
from streamdiff.adapters.avro.alert import alert_record
from streamdiff.adapters.avro.container import write_alerts
from streamdiff.adapters.event_log import write_log
from streamdiff.app.alerts.reading import MemoryAlerts
from streamdiff.model import (
    Alert,
    ConstantPsf,
    Exposure,
    ExposureId,
    Provenance,
    TemplateUse,
    dia_source_ids,
)
from streamdiff.ports import ConsumedRecord

ARCSEC = 1 / 3600


@pytest.fixture(scope="session")
def alert():
    """Return a function: where and what a DiaSource is -> the record of its alert.

    Positions are in steps of 10 arcsec, `shift` in arcsec.
    """

    def make(
        rank=0, *, visit=7, detector=3, shift=0.0, config_hash="c0ffee", **columns
    ):
        name = ExposureId(instrument="SimCam", visit=visit, detector=detector, band="r")
        base = int(dia_source_ids(name, [0], [0])[0])
        values = {
            "diaSourceId": base + rank,
            "visit": visit,
            "detector": detector,
            "band": "r",
            "midpointMjdTai": 61000.0 + visit,
            "ra": 150.0 + 10 * rank * ARCSEC + shift * ARCSEC,
            "dec": 2.0,
            "x": 50.0 * rank,
            "y": 20.0,
            "snr": 10.0 + rank,
            "psfFlux": 1000.0 + 10 * rank,
            "psfFluxErr": 100.0,
            "isNegative": False,
        }
        return alert_record(
            Alert(
                event_id=f"e{visit}",
                dia_source=values | columns,
                cutout_difference=stamp(rank),
                cutout_science=stamp(rank + 1),
                cutout_template=stamp(rank + 2),
                templates=(TemplateUse(template_id="d/1/2/r", version=1, fraction=1),),
                provenance=Provenance(config_hash=config_hash, software_version="1"),
            )
        )

    return make


@pytest.fixture(scope="session")
def alerts(alert):
    """Return alerts of two detectors of two visits, 12 in all."""
    return [
        alert(rank, visit=visit, detector=detector)
        for visit in (7, 8)
        for detector in (0, 1)
        for rank in range(3)
    ]


@pytest.fixture(scope="session")
def side():
    """Return a function: records -> a source of copies of them."""

    def make(*records, processed=()):
        return MemoryAlerts(records=copy.deepcopy(records), processed=processed)

    return make


@pytest.fixture(scope="session")
def container():
    """Write a container of alerts and return its path."""

    def write(path, records):
        write_alerts(path, records)
        return path

    return write


@pytest.fixture(scope="session")
def event_log():
    """Write an event log of messages by topic and return its path."""

    def write(path, messages):
        write_log(
            path,
            [
                ConsumedRecord(
                    topic=topic, partition=0, offset=n, key=None, value=value
                )
                for n, (topic, value) in enumerate(messages)
            ],
        )
        return path

    return write


@pytest.fixture(scope="session")
def logged_alerts():
    """Return a function: records -> their messages on a topic."""

    def make(records, topic="streamdiff.alerts"):
        return [(topic, wire.encode("alert", record)) for record in records]

    return make


def stamp(seed):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crpix = [16, 16]
    wcs.wcs.cd = np.diag([-0.2, 0.2]) / 3600
    noise = np.random.default_rng(seed).normal(size=(31, 31))
    y, x = np.mgrid[-15:16, -15:16]
    return Exposure(
        id=ExposureId(instrument="SimCam", visit=7, detector=3, band="r"),
        image=(noise + 30 * np.exp(-(x**2 + y**2) / 8)).astype(np.float32),
        variance=np.ones((31, 31)),
        mask=np.zeros((31, 31), np.int32),
        wcs=wcs,
        psf=ConstantPsf(np.ones((3, 3))),
    )
