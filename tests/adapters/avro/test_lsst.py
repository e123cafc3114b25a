"""Alerts under schema files that look as LSST's do."""

import json
import pickle
from io import BytesIO

import fastavro
import pytest
from fastavro.schema import load_schema

from streamdiff.adapters.avro import wire
from streamdiff.adapters.avro.lsst import lsst_format
from streamdiff.app.environment import find_plugins
from streamdiff.errors import ConfigError, PluginContractError

NULL_INT, NULL_FLOAT = ["null", "int"], ["null", "float"]
ORBIT = {"type": "record", "name": "orbit", "fields": [{"name": "e", "type": "float"}]}
EARLIER = {
    "diaSourceId": 5,
    "visit": 7,
    "detector": 3,
    "midpointMjdTai": 61100.5,
    "ra": 1.0,
    "dec": 2.0,
    "x": 3.0,
    "y": 4.0,
}


def field(name, type_, **more):
    if isinstance(type_, list):
        more = {"default": None} | more
    return {"name": name, "type": type_, **more}


def alert_fields():
    return [
        field("diaSourceId", "long"),
        field("observation_reason", ["null", "string"]),
        field("diaSource", "lsst.v10_0.diaSource"),
        field("prvDiaSources", ["null", array("lsst.v10_0.diaSource")]),
        field("prvDiaForcedSources", ["null", array("lsst.v10_0.diaForcedSource")]),
        field("mpc_orbits", ["null", ORBIT]),
        field("cutoutScience", ["null", "bytes"]),
    ]


def array(items):
    return {"type": "array", "items": items}


def source_fields():
    return [
        field("diaSourceId", "long"),
        field("midpointMjdTai", "double"),
        field("psfNdata", "int"),
        field("psfFlux", NULL_FLOAT),
        field("bboxSize", NULL_INT),
        field("band", NULL_INT),  # not the type of ours
        field("timeProcessedMjdTai", "double"),
        field("colour", NULL_FLOAT),
    ]


def forced_fields():
    return [
        field("diaForcedSourceId", "long"),
        field("timeProcessedMjdTai", "double"),
    ]


@pytest.fixture
def folder(tmp_path):
    """Return a function: further fields by record -> a folder of schema files."""

    def write(version="10_0", **more):
        records = {
            "alert": alert_fields(),
            "diaSource": source_fields(),
            "diaForcedSource": forced_fields(),
        }
        for record, fields in records.items():
            name = f"lsst.v10_0.{record}"
            listed = [*fields, *more.get(record, [])]
            schema = {"type": "record", "name": name, "fields": listed}
            path = tmp_path / f"lsst.v{version}.{record}.avsc"
            path.write_text(json.dumps(schema))
        return str(tmp_path)

    return write


def read(message, folder):
    schema = load_schema(f"{folder}/lsst.v10_0.alert.avsc")
    body = BytesIO(message[5:])
    record = fastavro.schemaless_reader(body, schema, None)
    assert body.read() == b""
    return record


def test_fields_are_mapped_by_name_and_type(folder, make_alert):
    form = lsst_format(folder=folder())
    alert = make_alert(psfFlux=2.5, band="r", psfNdata=700, bboxSize=9, colour=3.0)
    record = read(form.encode(alert), folder())
    assert record["diaSourceId"] == alert.dia_source["diaSourceId"]
    assert record["diaSource"]["psfFlux"] == 2.5
    assert record["diaSource"]["psfNdata"] == 700
    assert record["diaSource"]["bboxSize"] == 9
    # a number is no name, and a field that our schema has not is no measurement
    assert record["diaSource"]["band"] is None
    assert record["diaSource"]["colour"] is None
    assert record["mpc_orbits"] is record["observation_reason"] is None
    assert record["cutoutScience"].startswith(b"SIMPLE")


def test_the_message_is_that_of_lsst(folder, make_alert):
    form = lsst_format(folder=folder())
    assert form.content_type == "application/vnd.confluent.avro"
    assert form.headers == {"streamdiff.schema": b"lsst.v10_0.alert"}
    assert form.encode(make_alert())[:5] == wire.header(1000)
    pinned = lsst_format(folder=folder(), schema_id=7)
    assert pinned.encode(make_alert())[:5] == wire.header(7)


def test_counts_without_a_value_are_0(folder, make_alert):
    form = lsst_format(folder=folder())
    record = read(form.encode(make_alert(psfNdata=None)), folder())
    assert record["diaSource"]["psfNdata"] == 0


def test_a_time_of_processing_that_is_not_known_is_that_of_mid_exposure(
    folder, make_alert
):
    form = lsst_format(folder=folder())
    record = read(form.encode(make_alert(timeProcessedMjdTai=None)), folder())
    assert record["diaSource"]["timeProcessedMjdTai"] == 61105.125
    given = read(form.encode(make_alert(timeProcessedMjdTai=61106.5)), folder())
    assert given["diaSource"]["timeProcessedMjdTai"] == 61106.5


def test_a_format_can_be_sent_to_another_process(folder, make_alert):
    form = lsst_format(folder=folder())
    message = form.encode(make_alert())
    assert pickle.loads(pickle.dumps(form)).encode(make_alert()) == message  # noqa: S301


def test_types_that_can_not_be_encoded_are_told_at_the_start(folder):
    odd = field("kind", {"type": "enum", "name": "k", "symbols": ["a"]}, default="a")
    with pytest.raises(ValueError, match="can not be encoded"):
        lsst_format(folder=folder(diaSource=[odd]))


def test_history_is_written_too(folder, make_alert):
    forced = {
        "diaForcedSourceId": 9,
        "midpointMjdTai": 61099.25,
        "timeProcessedMjdTai": 61099.5,
    }
    alert = make_alert(
        history={"prv_dia_sources": (EARLIER,), "prv_dia_forced_sources": (forced,)}
    )
    record = read(lsst_format(folder=folder()).encode(alert), folder())
    (earlier,) = record["prvDiaSources"]
    assert earlier["diaSourceId"] == 5
    assert earlier["timeProcessedMjdTai"] == 61100.5
    assert record["prvDiaForcedSources"] == [
        {"diaForcedSourceId": 9, "timeProcessedMjdTai": 61099.5}
    ]


@pytest.mark.parametrize(
    ("required", "told"), [("galLat", {"ssObjectId": 7, "galLat": 1.5}), ("a", None)]
)
def test_a_moving_object_is_told_of_where_they_require_no_more_of_it(
    folder, make_alert, required, told
):
    fields = [field("ssObjectId", "long"), field(required, "double")]
    record = {"type": "record", "name": "lsst.v10_0.ssSource", "fields": fields}
    where = folder(alert=[field("ssSource", ["null", record])])
    moving = {"ssObjectId": 7, "galLat": 1.5, "ephRa": 2.5}
    message = lsst_format(folder=where).encode(
        make_alert(history={"ss_source": moving})
    )
    assert read(message, where)["ssSource"] == told


UNKNOWN = {
    "alert": [field("alertId", "long")],
    "diaSource": [field("programId", "int"), field("apFlux", "float")],
    "diaForcedSource": [
        field("processed", {"type": "long", "logicalType": "timestamp-micros"})
    ],
}


def test_all_required_fields_that_nothing_fills_are_named_at_the_start(folder):
    plugin = find_plugins().get("formats", "lsst")
    with pytest.raises(ConfigError) as caught:
        plugin.build({"folder": folder(**UNKNOWN)})
    assert "[plugins.formats.lsst] folder: lsst.v10_0.alert.avsc requires" in str(
        caught.value
    )
    for name in (
        "alert.alertId (long)",
        "diaSource.programId (int)",
        "diaSource.apFlux (float)",  # null is allowed in ours
        "diaForcedSource.processed (timestamp-micros)",
    ):
        assert name in str(caught.value)
    assert "psfNdata" not in str(caught.value)


def test_they_may_be_given_values(folder, make_alert):
    more = {name: UNKNOWN[name] for name in ("alert", "diaSource")}
    defaults = {"alert.alertId": 7, "diaSource.programId": 2, "diaSource.apFlux": -1.5}
    form = lsst_format(folder=folder(**more), defaults=defaults)
    record = read(form.encode(make_alert(apFlux=None)), folder(**more))
    assert record["alertId"] == 7
    assert record["diaSource"]["programId"] == 2
    assert record["diaSource"]["apFlux"] == -1.5
    record = read(form.encode(make_alert(apFlux=12.0)), folder(**more))
    assert record["diaSource"]["apFlux"] == 12.0


def test_a_row_without_what_lsst_requires_is_named(folder, make_alert):
    form = lsst_format(folder=folder(diaSource=[field("bboxSize2", NULL_INT)]))
    with pytest.raises(PluginContractError, match=r"\['midpointMjdTai', "):
        form.encode(make_alert(midpointMjdTai=None))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: None, "has none"),
        (lambda f: (f / "lsst.v9_0.alert.avsc").write_text("{"), "is no schema"),
        (lambda f: (f / "lsst.v9_0.alert.avsc").write_text('"int"'), "is no alert"),
        (
            lambda f: [
                (f / f"lsst.v{v}_0.alert.avsc").write_text("{}") for v in (9, 8)
            ],
            r"has \['lsst.v8_0.alert.avsc', 'lsst.v9_0.alert.avsc'\]",
        ),
    ],
)
def test_a_folder_without_one_schema_is_refused(tmp_path, spoil, said):
    spoil(tmp_path)
    with pytest.raises(ValueError, match=said):
        lsst_format(folder=str(tmp_path))
