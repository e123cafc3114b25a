import json
from datetime import datetime

import numpy as np
import pytest
from astropy.wcs import WCS

from streamdiff.adapters.avro import wire
from streamdiff.adapters.avro.events import encode_event
from streamdiff.model import (
    Alert,
    ConstantPsf,
    Exposure,
    ExposureId,
    Provenance,
    TemplateUse,
)
from streamdiff.ports import ConsumedRecord

REQUIRED = {
    "diaSourceId": 2026030500055 << 22 | 140 << 14 | 3,
    "visit": 2026030500055,
    "detector": 140,
    "midpointMjdTai": 61105.125,
    "ra": 63.25,
    "dec": -47.5,
    "x": 1213.75,
    "y": 2275.25,
}


@pytest.fixture(scope="session")
def consumed():
    """Return a function: the value of a message -> the record that is read."""

    def read(value, topic="any", headers=()):
        return ConsumedRecord(
            topic=topic, partition=0, offset=0, key=None, value=value, headers=headers
        )

    return read


@pytest.fixture(scope="session")
def as_json():
    """Return a function: an event -> its JSON, as an operator would write it."""

    def write(event):
        _, values = wire.decode(encode_event(event))
        return json.dumps(values, default=datetime.isoformat)

    return write


@pytest.fixture
def make_alert():
    """Return a function: columns of the DiaSource -> an alert with two cutouts."""

    def make(*, photometric=True, history=None, **columns):
        return Alert(
            **(history or {}),
            event_id="e1",
            dia_source=REQUIRED | columns,
            cutout_difference=cutout(),
            cutout_science=cutout(),
            cutout_template=None,
            templates=(TemplateUse(template_id="d/1/2/r", version=7, fraction=0.5),),
            provenance=Provenance(
                plugins={"find": "score_peaks streamdiff 1.0"},
                config_hash="c0ffee",
                software_version="1.0",
            ),
            photometric=photometric,
        )

    return make


def cutout():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [63.25, -47.5]
    wcs.wcs.crpix = [16, 16]
    wcs.wcs.cd = np.diag([-0.2, 0.2]) / 3600
    shape = (31, 31)
    return Exposure(
        id=ExposureId(instrument="SimCam", visit=7, detector=3, band="r"),
        image=np.arange(31 * 31, dtype=np.float32).reshape(shape),
        variance=np.ones(shape),
        mask=np.zeros(shape, np.int32),
        wcs=wcs,
        psf=ConstantPsf(np.ones((3, 3))),
    )
