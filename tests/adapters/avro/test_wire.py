import json
import struct
from contextlib import suppress
from io import BytesIO

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdiff.adapters.avro import schemas, wire
from streamdiff.adapters.avro.schemas import Version, schema_id
from streamdiff.errors import UndecodableError

SAMPLE = json.loads(
    (schemas.schema_folder() / "1/0/sample_data/visitReady.json").read_text()
) | {"published_at": 1_772_676_930_250_000}
MESSAGE = wire.encode("visitReady", SAMPLE)


def header(id_, magic=0):
    return struct.pack(">bi", magic, id_)


def test_a_message_starts_with_zero_and_the_id():
    assert MESSAGE[:5] == b"\x00" + (10_100).to_bytes(4, "big")


def test_the_rest_is_the_record_alone():
    body = BytesIO(MESSAGE[5:])
    found = fastavro.schemaless_reader(body, schemas.load("visitReady"), None)
    assert found["event_id"] == SAMPLE["event_id"]
    assert body.read() == b""


def test_missing_fields_get_their_defaults():
    optional = {"mask_uri", "template_name"}
    _, found = wire.decode(
        wire.encode("visitReady", {k: SAMPLE[k] for k in SAMPLE if k not in optional})
    )
    assert (found["mask_uri"], found["template_name"]) == (None, "deep")


def test_fields_that_the_schema_has_not_are_refused():
    with pytest.raises(ValueError, match="colour"):
        wire.encode("visitReady", SAMPLE | {"colour": 1})


def test_ids_with_an_offset_are_read_with_the_same_offset_only():
    message = wire.encode("visitReady", SAMPLE, id_offset=500_000)
    assert wire.decode(message, id_offset=500_000)[0] == "visitReady"
    with pytest.raises(UndecodableError, match="510100 is none of 100"):
        wire.decode(message)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"", "0 bytes: expected a header of 5"),
        (MESSAGE[:4], "4 bytes: expected a header of 5"),
        (b'{"event_id": 1}', "byte 0x7b: expected 0x00"),
        (b"\xc3\x01" + MESSAGE, "byte 0xc3"),
        (header(7_000_000) + MESSAGE[5:], r"7000000 is none of 100 \(alert\)"),
        (header(-1) + MESSAGE[5:], "-1 is none of"),
        (header(10_101) + MESSAGE[5:], "visitReady 1.1, known is 1.0"),
        (MESSAGE[:-1], "is no visitReady 1.0"),
        (MESSAGE + b"\x00\x00", "2 bytes follow the visitReady 1.0"),
    ],
    ids=[
        "empty",
        "cut in the header",
        "JSON without a header",
        "single object",
        "unknown id",
        "negative id",
        "newer minor version",
        "truncated",
        "trailing bytes",
    ],
)
def test_what_is_no_message_is_refused_with_what_was_found(message, said):
    with pytest.raises(UndecodableError, match=said):
        wire.decode(message)


@pytest.mark.parametrize("length", [-1, 2**31, 2**62, -(2**63)])
def test_absurd_lengths_are_refused(length):
    buffer = BytesIO()
    fastavro.schemaless_writer(buffer, "long", length)
    with pytest.raises(UndecodableError, match="is no visitReady"):
        wire.decode(header(schema_id("visitReady")) + buffer.getvalue() + b"abc")


@pytest.mark.parametrize("count", [2**31, 2**62, -(2**62)])
def test_absurd_counts_are_refused(count):
    update = {
        "event_id": "",
        "band": "r",
        "action": "add",
        "published_at": 0,
        "exposures": [],
    }
    message = wire.encode("templateUpdate", update)
    blocks = BytesIO()
    fastavro.schemaless_writer(blocks, "long", count)
    # the empty array is one zero byte, before the one of the time
    assert message[-2:] == b"\x00\x00"
    with pytest.raises(UndecodableError, match="is no templateUpdate"):
        wire.decode(message[:-2] + blocks.getvalue())


@given(
    id_=st.sampled_from([schema_id(record) for record in schemas.MESSAGES]),
    body=st.binary(max_size=300),
)
@settings(max_examples=400, deadline=None)
def test_random_bytes_are_refused_or_read(id_, body):
    with suppress(UndecodableError):
        wire.decode(header(id_) + body)


@given(place=st.integers(5, len(MESSAGE) - 1), byte=st.integers(0, 255))
@settings(max_examples=400, deadline=None)
def test_a_damaged_message_is_refused_or_read(place, byte):
    damaged = MESSAGE[:place] + bytes([byte]) + MESSAGE[place + 1 :]
    with suppress(UndecodableError):
        wire.decode(damaged)


@pytest.fixture
def version_1_1(tmp_path, monkeypatch):
    """A minor version in which every visitReady may tell its seeing."""
    for path in schemas.schema_file("visitReady", Version(1, 0)).parent.glob("*.avsc"):
        old = path.read_text()
        new = json.loads(old.replace("v1_0", "v1_1"))
        if new["name"] == "visitReady":
            new["fields"].append({"name": "seeing", "type": "double", "default": 0.7})
        for minor, text in ((0, old), (1, json.dumps(new))):
            copy = tmp_path / f"1/{minor}" / path.name.replace("v1_0", f"v1_{minor}")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(text)
    monkeypatch.setattr(schemas, "schema_folder", lambda: tmp_path)
    for module in (schemas, wire):
        monkeypatch.setattr(module, "latest", lambda: Version(1, 1))


UPDATE_MESSAGE = wire.encode(
    "templateUpdate",
    {
        "event_id": "u",
        "band": "r",
        "action": "add",
        "exposures": [SAMPLE],
        "published_at": 0,
    },
)


@pytest.mark.usefixtures("version_1_1")
def test_a_message_of_an_older_minor_version_gets_the_new_defaults():
    assert wire.decode(MESSAGE)[1]["seeing"] == 0.7


@pytest.mark.usefixtures("version_1_1")
def test_records_inside_an_older_message_get_the_new_defaults():
    (exposure,) = wire.decode(UPDATE_MESSAGE)[1]["exposures"]
    assert exposure["seeing"] == 0.7
