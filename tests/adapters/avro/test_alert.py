import gzip
import math
from io import BytesIO

import fastavro
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamdiff.adapters.avro import plugin, wire
from streamdiff.adapters.avro.alert import alert_record, dia_source_record, unmapped
from streamdiff.adapters.avro.container import container_bytes
from streamdiff.adapters.avro.schemas import live_order_fields, load, schema_id
from streamdiff.errors import PluginContractError
from streamdiff.model import DETECTION_COLUMNS

FORMATS = {
    name: factory
    for name, factory in plugin.streamdiff_alert_formats().items()
    if name != "lsst"  # another schema: see test_lsst.py
}
TYPES = {
    f["name"]: f["type"][1] if isinstance(f["type"], list) else f["type"]
    for f in load("diaSource")["fields"]
}
OPTIONAL = [f["name"] for f in load("diaSource")["fields"] if "default" in f]


def decoded(message):
    """Return the record inside a message of any of the formats."""
    if message.startswith(b"Obj\x01"):
        (record,) = fastavro.reader(BytesIO(message))
        return record
    if message.startswith(b"\xc3\x01"):
        return fastavro.schemaless_reader(BytesIO(message[10:]), load("alert"), None)
    return wire.decode(message)[1]


def leaves(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_holds_the_same_alert(name, make_alert):
    alert = make_alert(psfFlux=12.5, isNegative=True, band="r")
    record = decoded(FORMATS[name]().encode(alert))
    expected = decoded(FORMATS["streamdiff"]().encode(alert))
    assert record == expected
    assert record["diaSource"]["psfFlux"] == 12.5


@pytest.mark.parametrize("name", FORMATS)
def test_a_repeated_alert_has_the_same_bytes(name, make_alert):
    assert FORMATS[name]().encode(make_alert()) == FORMATS[name]().encode(make_alert())


def test_the_default_format_is_headed_by_the_schema_id(make_alert):
    message = FORMATS["streamdiff"](id_offset=500).encode(make_alert())
    assert message[:5] == b"\0" + (schema_id("alert") + 500).to_bytes(4, "big")


def test_a_container_brings_its_schema(make_alert):
    message = FORMATS["ocf"]().encode(make_alert())
    embedded = fastavro.reader(BytesIO(message)).writer_schema
    assert embedded["name"] == "streamdiff.v1_0.alert"
    assert len(embedded["fields"]) == len(load("alert")["fields"])


def test_a_single_object_is_headed_by_the_fingerprint(make_alert):
    message = FORMATS["single_object"]().encode(make_alert())
    canonical = fastavro.schema.to_parsing_canonical_form(load("alert"))
    assert message[:2] == b"\xc3\x01"
    assert int.from_bytes(message[2:10], "little") == crc_64_avro(canonical.encode())


def crc_64_avro(data):
    """Return the Rabin fingerprint as the Avro specification defines it."""
    empty = 0xC15D213AA4D7A795
    table = []
    for value in range(256):
        entry = value
        for _ in range(8):
            entry = (entry >> 1) ^ (empty & -(entry & 1))
        table.append(entry)
    result = empty
    for byte in data:
        result = (result >> 8) ^ table[(result ^ byte) & 0xFF]
    return result


def test_the_fingerprint_of_the_specification_is_reproduced():
    # published for the schema "int", apache/avro share/test/data/schema-tests.txt
    assert crc_64_avro(b'"int"') == 0x7275D51A3F395C8F


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("streamdiff", "application/vnd.confluent.avro"),
        ("ocf", "application/avro"),
        ("single_object", "application/vnd.apache.avro.single-object"),
    ],
)
def test_formats_have_types_of_their_own(name, type_):
    assert FORMATS[name]().content_type == type_


@pytest.mark.parametrize("name", FORMATS)
def test_messages_name_their_schema(name):
    assert FORMATS[name]().headers["streamdiff.schema"] == b"streamdiff.v1_0.alert"


def test_a_container_tells_hopskotch_how_to_decode_it():
    assert FORMATS["ocf"]().headers["_format"] == b"avro"


@pytest.mark.parametrize("name", FORMATS)
def test_cutouts_may_be_compressed(name, make_alert):
    plain = decoded(FORMATS[name]().encode(make_alert()))
    small = decoded(FORMATS[name](compress_cutouts=True).encode(make_alert()))
    assert gzip.decompress(small["cutoutScience"]) == plain["cutoutScience"]
    assert small["cutoutTemplate"] is None


def test_cutouts_tell_their_place_on_the_image(make_alert):
    record = alert_record(make_alert(x=100.6, y=20.4))
    with fits.open(BytesIO(record["cutoutScience"])) as hdus:
        header = hdus[0].header
        assert (header["CUTMINX"], header["CUTMINY"]) == (101 - 15, 20 - 15)


def test_cutouts_are_fits(make_alert):
    record = alert_record(make_alert())
    with fits.open(BytesIO(record["cutoutDifference"])) as hdus:
        assert hdus[0].data.shape == (31, 31)
        assert hdus[0].data[0, 1] == 1.0


def test_a_missing_cutout_is_null(make_alert):
    assert alert_record(make_alert())["cutoutTemplate"] is None


@pytest.mark.parametrize(("photometric", "unit"), [(True, "nJy"), (False, "adu")])
def test_provenance_says_what_made_the_alert(make_alert, photometric, unit):
    record = alert_record(make_alert(photometric=photometric))
    assert record["provenance"] == {
        "event_id": "e1",
        "templates": [{"template_id": "d/1/2/r", "version": 7, "fraction": 0.5}],
        "plugins": {"find": "score_peaks streamdiff 1.0"},
        "config_hash": "c0ffee",
        "software_version": "1.0",
        "flux_unit": unit,
        "photometric": photometric,
    }


def test_history_is_null_until_it_is_associated(make_alert):
    record = decoded(FORMATS["streamdiff"]().encode(make_alert()))
    top = {name for name in live_order_fields("alert") if "." not in name}
    assert {record[name] for name in top} == {None}


DIA_OBJECT = {
    "diaObjectId": 4,
    "validityStartMjdTai": 61105.1,
    "ra": 63.25,
    "dec": -47,
    "nDiaSources": 2,
}
FORCED_SOURCE = {
    "diaForcedSourceId": 9,
    "diaObjectId": 4,
    "ra": 63.25,
    "dec": -47.5,
    "visit": 7,
    "detector": 3,
    "midpointMjdTai": 61100.5,
}


def test_history_goes_with_the_alert(make_alert):
    earlier = make_alert(diaSourceId=5, psfFlux=np.float32(3)).dia_source
    alert = make_alert(
        history={
            "dia_object": DIA_OBJECT | {"r_psfFluxMean": math.nan},
            "prv_dia_sources": (earlier, earlier | {"diaSourceId": 6, "psfFlux": None}),
            "prv_dia_forced_sources": (FORCED_SOURCE | {"psfFlux": np.float32(-2.5)},),
        }
    )
    record = decoded(FORMATS["streamdiff"]().encode(alert))
    found = [(s["diaSourceId"], s["psfFlux"]) for s in record["prvDiaSources"]]
    assert found == [(5, 3.0), (6, None)]
    assert [s["psfFlux"] for s in record["prvDiaForcedSources"]] == [-2.5]
    assert record["diaObject"]["diaObjectId"] == 4
    assert record["diaObject"]["nDiaSources"] == 2
    assert record["diaObject"]["r_psfFluxMean"] is None


@pytest.mark.parametrize(
    ("history", "said"),
    [
        ({"dia_object": DIA_OBJECT | {"ra": None}}, r"DiaObject 4: \['ra'\]"),
        (
            {"prv_dia_forced_sources": (FORCED_SOURCE | {"visit": None},)},
            r"DiaForcedSource 9: \['visit'\]",
        ),
    ],
)
def test_history_without_its_identity_is_an_error(make_alert, history, said):
    with pytest.raises(PluginContractError, match=said):
        alert_record(make_alert(history=history))


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**31), 2**31 - 1),
    st.floats(),
    st.floats(width=32).map(np.float32),
    st.floats().map(np.float64),
    st.integers(-(2**31), 2**31 - 1).map(np.int64),
    st.booleans().map(np.bool_),
)


@given(
    values=st.dictionaries(
        st.sampled_from([n for n in OPTIONAL if TYPES[n] != "string"]), anything
    )
)
@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_alert_ever_holds_nan(make_alert, values):
    record = decoded(FORMATS["streamdiff"]().encode(make_alert(**values)))
    numbers = [v for v in leaves(record) if isinstance(v, float)]
    assert all(map(math.isfinite, numbers))
    for name, value in values.items():
        is_missing = value is None or not math.isfinite(value)
        assert (record["diaSource"][name] is None) or not is_missing


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e39, None])
def test_what_a_float_can_not_hold_is_null(make_alert, value):
    assert alert_record(make_alert(psfFlux=value))["diaSource"]["psfFlux"] is None


@pytest.mark.parametrize(
    ("column", "value", "type_"),
    [
        ("psfFlux", np.float32(2.5), float),
        ("psfNdata", np.int32(7), int),
        ("isNegative", np.bool_(True), bool),
        ("diaObjectId", np.int64(2**62), int),
        ("band", np.str_("r"), str),
    ],
)
def test_numpy_scalars_become_python_values(make_alert, column, value, type_):
    found = alert_record(make_alert(**{column: value}))["diaSource"][column]
    assert type(found) is type_
    assert found == value


@pytest.mark.parametrize("value", [None, math.nan])
def test_a_dia_source_without_a_position_is_an_error(make_alert, value):
    with pytest.raises(PluginContractError, match=r"\['ra'\] have no value"):
        alert_record(make_alert(ra=value))


def test_columns_without_a_field_are_left_out_and_listed(make_alert):
    record = dia_source_record(make_alert(colour=3.0).dia_source)
    assert "colour" not in record
    assert unmapped(["x", "colour", "psfFlux", "mood"]) == ("colour", "mood")


def test_detection_columns_have_fields():
    assert unmapped(column.name for column in DETECTION_COLUMNS) == ()


def test_containers_of_other_alerts_differ_in_their_marks(make_alert):
    records = [alert_record(make_alert(diaSourceId=i)) for i in (1, 2)]
    assert container_bytes(records[:1])[-16:] != container_bytes(records[1:])[-16:]
