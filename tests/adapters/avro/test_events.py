"""Events as Avro and as JSON: what is refused, what is left out, what is keyed."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from streamdiff.adapters.avro import schemas, wire
from streamdiff.adapters.avro.events import (
    RECORD_OF_TOPIC,
    decode_event,
    encode_event,
    events_from_json_lines,
    message_key,
)
from streamdiff.errors import UndecodableError
from streamdiff.model import (
    Action,
    CoaddInput,
    ExposureId,
    Outcome,
    Reason,
    TemplateRebuilt,
    TemplateUpdate,
    VisitProcessed,
    VisitReady,
)

JSON_HEADERS = (("content-type", b"application/json"),)
TIME = datetime(2026, 3, 5, 2, 15, 30, 250_000, tzinfo=UTC)

VISIT = VisitReady(
    event_id="e1",
    instrument="SimCam",
    visit=2026030500055,
    detector=140,
    band="r",
    midpoint_mjd_tai=61105.125,
    exposure_time_s=30.0,
    image_uri="file:///data/140.fits",
    published_at=TIME,
)
UPDATE = TemplateUpdate(
    event_id="u1",
    band="r",
    action=Action.ADD,
    tract=4321,
    patch=17,
    exposures=(VISIT,),
    published_at=TIME,
)
PROCESSED = VisitProcessed(
    event_id="e1",
    instrument="SimCam",
    visit=7,
    detector=140,
    band="r",
    outcome=Outcome.PROCESSED,
    metrics={"coverage": 1.0},
    finished_at=TIME,
)
REBUILT = TemplateRebuilt(
    event_id="u1",
    template_id="deep/4321/17/r",
    version=8,
    outcome=Outcome.PROCESSED,
    finished_at=TIME,
)


@pytest.mark.parametrize(
    "record", ["visitReady", "templateUpdate", "visitProcessed", "templateRebuilt"]
)
def test_sample_data_is_json_of_its_event(record, consumed):
    sample = schemas.schema_folder() / "1" / "0" / "sample_data" / f"{record}.json"
    topic = next(name for name, r in RECORD_OF_TOPIC.items() if r == record)
    decode_event(consumed(sample.read_bytes(), topic, JSON_HEADERS))


def test_values_that_are_not_finite_are_left_out_of_reports(consumed):
    event = replace(
        PROCESSED,
        metrics={"good": 1.0, "lost": math.nan, "endless": math.inf},
        stage_seconds={"read": math.nan},
    )
    again = decode_event(consumed(encode_event(event)))
    assert again == replace(event, metrics={"good": 1.0}, stage_seconds={})


def test_an_input_without_a_weight_has_weight_0(consumed):
    id_ = ExposureId(instrument="SimCam", visit=1, detector=2, band="r")
    rejected = CoaddInput(id=id_, weight=math.nan, accepted=False, reason="too few")
    again = decode_event(consumed(encode_event(replace(REBUILT, inputs=(rejected,)))))
    assert again.inputs == (replace(rejected, weight=0.0),)


def test_messages_about_many_keys_stay_short(consumed):
    text = json.dumps({f"{i:099}": 1 for i in range(1000)})
    with pytest.raises(UndecodableError, match=r"\.\.\.") as refused:
        decode_event(consumed(text.encode(), "visit-ready", JSON_HEADERS))
    assert len(str(refused.value)) < 1000


def test_details_may_quote_file_names_that_are_not_utf_8(consumed):
    name = b"image-\xff.fits".decode(errors="surrogateescape")
    event = replace(
        PROCESSED, outcome=Outcome.FAILED, reason=Reason.INTERNAL, detail=name
    )
    assert decode_event(consumed(encode_event(event))).detail == "image-?.fits"


def test_json_keys_are_text(as_json, consumed):
    values = json.loads(as_json(PROCESSED)) | {"n_filtered": {"\ud83d": 1}}
    message = consumed(json.dumps(values).encode(), "visit-processed", JSON_HEADERS)
    with pytest.raises(UndecodableError, match="n_filtered: expected keys of Unicode"):
        decode_event(message)


def test_a_message_of_another_record_is_refused_on_a_topic(consumed):
    with pytest.raises(UndecodableError, match="carries visitReady, got templateUpd"):
        decode_event(consumed(encode_event(UPDATE), "streamdiff.visit-ready"))


def test_an_alert_is_no_event(consumed):
    sample = schemas.schema_folder() / "1" / "0" / "sample_data" / "alert.json"
    message = wire.encode("alert", json.loads(sample.read_text()))
    with pytest.raises(UndecodableError, match="alert is no event"):
        decode_event(consumed(message))


def test_a_tombstone_is_no_event(consumed):
    with pytest.raises(UndecodableError, match="no value"):
        decode_event(consumed(None))


def test_a_number_out_of_range_is_named(as_json, consumed):
    values = json.loads(as_json(VISIT)) | {"detector": 256}
    values["published_at"] = TIME
    with pytest.raises(UndecodableError, match=r"detector must be in \[0, 2\^8\)"):
        decode_event(consumed(wire.encode("visitReady", values)))


def test_a_number_that_is_nan_is_refused(consumed):
    _, values = wire.decode(encode_event(VISIT))
    message = wire.encode("visitReady", values | {"midpoint_mjd_tai": math.nan})
    with pytest.raises(UndecodableError, match="midpoint_mjd_tai must be finite"):
        decode_event(consumed(message))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colour": "r"}, "visitReady: unknown keys 'colour'; known"),
        ({"visit": "12"}, "visitReady.visit: expected a value of type long, got '12'"),
        ({"visit": 12.5}, "visitReady.visit: expected a value of type long"),
        ({"visit": True}, "visitReady.visit: expected a value of type long"),
        ({"visit": 2**63}, "visitReady.visit: expected a value of type long"),
        ({"detector": 2**31}, "visitReady.detector: expected a value of type int"),
        ({"visit": -1}, "visit must be in"),
        ({"image_uri": None}, "visitReady.image_uri: expected a value of type string"),
        ({"event_id": ""}, "must not be empty"),
        (
            {"event_id": "\ud83d"},
            r"event_id: expected a value of type string, got '\\ud",
        ),
        ({"exposure_time_s": "30"}, "exposure_time_s: expected a value of type doub"),
        ({"exposure_time_s": 10**400}, "exposure_time_s: expected a value of type"),
        ({"published_at": "2026-03-05T02:15:30"}, "with a time zone"),
        ({"published_at": "yesterday"}, "expected an ISO 8601 time"),
        ({"published_at": 10**18}, "expected an ISO 8601 time"),
        ({"published_at": None}, "expected an ISO 8601 time"),
        ({"published_at": [1]}, "expected an ISO 8601 time"),
    ],
)
def test_a_wrong_json_value_is_refused_by_its_path(change, said, as_json, consumed):
    values = json.loads(as_json(VISIT)) | change
    message = consumed(json.dumps(values).encode(), "visit-ready", JSON_HEADERS)
    with pytest.raises(UndecodableError, match=said):
        decode_event(message)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"action": "burn"}, r"action: expected one of \['add'"),
        ({"action": ["add"]}, "action: expected one of"),
        ({"exposures": {}}, "exposures: expected an array"),
        ({"exposures": [1]}, r"exposures\[0\]: expected an object, got 1"),
        ({"exposures": [{}]}, r"exposures\[0\]: keys \['event_id', "),
        ({"patch": None}, "tract and patch must both be given"),
    ],
)
def test_a_wrong_value_inside_an_update_is_refused_by_its_path(
    change, said, as_json, consumed
):
    values = json.loads(as_json(UPDATE)) | change
    message = consumed(json.dumps(values).encode(), "template-update", JSON_HEADERS)
    with pytest.raises(UndecodableError, match=said):
        decode_event(message)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "expected an object"),
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("9" * 5_000, "is no JSON"),
        ("\ud83d".encode("utf-8", "surrogatepass"), "is no JSON"),
        ('{"visit": 1, "visit": 2}', "repeats the keys 'visit'"),
        ('{"visit": NaN}', "holds NaN: write null"),
        ("{}", r"keys \['event_id', 'instrument'"),
    ],
)
def test_text_that_is_no_event_is_refused(text, said, consumed):
    value = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(UndecodableError, match=said):
        decode_event(consumed(value, "visit-ready", JSON_HEADERS))


def test_defaults_of_json_are_those_of_the_schema(as_json, consumed):
    optional = {"mask_uri", "template_name", "template_version", "physical_filter"}
    values = {k: v for k, v in json.loads(as_json(VISIT)).items() if k not in optional}
    message = consumed(json.dumps(values).encode(), "visit-ready", JSON_HEADERS)
    assert decode_event(message) == VISIT


def test_json_times_may_be_microseconds(as_json, consumed):
    values = json.loads(as_json(VISIT)) | {"published_at": 1_772_676_930_250_000}
    message = consumed(json.dumps(values).encode(), "visit-ready", JSON_HEADERS)
    assert decode_event(message) == VISIT


def test_json_types_may_carry_parameters(as_json, consumed):
    headers = (("Content-Type", b"Application/JSON; charset=utf-8"),)
    assert decode_event(consumed(as_json(VISIT).encode(), "visit-ready", headers))


def test_json_needs_a_topic_that_names_its_record(as_json, consumed):
    with pytest.raises(UndecodableError, match="JSON on topic any"):
        decode_event(consumed(as_json(VISIT).encode(), "any", JSON_HEADERS))


@pytest.mark.parametrize(
    ("event", "key"),
    [
        (VISIT, b"SimCam/140"),
        (PROCESSED, b"SimCam/140"),
        (UPDATE, b"4321/17/r"),
        (replace(UPDATE, tract=None, patch=None), None),
        (REBUILT, b"4321/17/r"),
        (replace(REBUILT, template_id=""), None),
    ],
    ids=["visit", "its report", "update", "covering update", "its report", "nameless"],
)
def test_keys_send_what_belongs_together_to_one_partition(event, key):
    assert message_key(event) == key


def test_json_lines_are_events(as_json):
    text = f"{as_json(VISIT)}\n\n  \n{as_json(replace(VISIT, visit=8))}\n"
    assert [e.visit for e in events_from_json_lines(text)] == [VISIT.visit, 8]


def test_json_lines_hold_updates_too(as_json):
    assert events_from_json_lines(as_json(UPDATE), record="templateUpdate") == (UPDATE,)


def test_json_lines_take_what_they_lack_from_defaults(as_json):
    values = json.loads(as_json(VISIT))
    del values["published_at"]
    defaults = {"published_at": TIME.isoformat(), "event_id": "another"}
    assert events_from_json_lines(json.dumps(values), defaults=defaults) == (VISIT,)


def test_a_wrong_json_line_is_named_by_its_number(as_json):
    text = f"{as_json(VISIT)}\n\n{{}}\n"
    with pytest.raises(UndecodableError, match=r"line 3: visitReady: keys \['event_id"):
        events_from_json_lines(text)
