"""Shared fields look to a reader of LSST alerts as LSST's own do."""

import fastavro
import pytest

from streamdiff.adapters.avro.schemas import load

pytestmark = pytest.mark.frames


@pytest.fixture(scope="module")
def lsst_alert(shared_data):
    path = shared_data / "rubin_alerts" / "fink_lsst_7alerts.avro"
    with path.open("rb") as f:
        return fastavro.reader(f).writer_schema


def record_of(type_):
    """Return the record inside unions and arrays."""
    if isinstance(type_, list):
        return next(filter(None, map(record_of, type_)), None)
    if isinstance(type_, dict):
        return type_ if type_["type"] == "record" else record_of(type_.get("items"))
    return None


def types(schema):
    """Return the fields with their types, null aside, in their order."""
    return {
        f["name"]: next(t for t in f["type"] if t != "null")
        if isinstance(f["type"], list)
        else f["type"]
        for f in schema["fields"]
    }


@pytest.mark.parametrize(
    ("field", "record", "n_fields"),
    [
        ("diaSource", "diaSource", 98),
        ("prvDiaSources", "diaSource", 98),
        ("prvDiaForcedSources", "diaForcedSource", 14),
        ("diaObject", "diaObject", 82),
        ("ssSource", "ssSource", 39),
    ],
)
def test_every_lsst_field_is_there_with_its_type(lsst_alert, field, record, n_fields):
    (lsst_field,) = (f for f in lsst_alert["fields"] if f["name"] == field)
    lsst, ours = types(record_of(lsst_field["type"])), types(load(record))
    assert len(lsst) == n_fields
    # LSST's own fields first, in LSST's order
    assert list(lsst.items()) == list(ours.items())[:n_fields]


@pytest.mark.parametrize(
    "field", ["diaSourceId", "cutoutDifference", "cutoutScience", "cutoutTemplate"]
)
def test_the_alert_itself_has_lsst_types(lsst_alert, field):
    assert types(load("alert"))[field] == types(lsst_alert)[field]


def test_a_real_dia_source_fits(shared_data):
    path = shared_data / "rubin_alerts" / "fink_lsst_7alerts.avro"
    with path.open("rb") as f:
        sources = [alert["diaSource"] for alert in fastavro.reader(f)]
    assert sources
    assert fastavro.validation.validate_many(sources, load("diaSource"))
