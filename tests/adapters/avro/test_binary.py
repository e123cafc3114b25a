"""Records encoded by hand are those of fastavro."""

import math
from io import BytesIO

import fastavro
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdiff.adapters.avro.alert import flat_record
from streamdiff.adapters.avro.binary import compile_encoder, varint
from streamdiff.adapters.avro.schemas import load
from streamdiff.errors import PluginContractError

RECORDS = ("diaSource", "diaObject", "diaForcedSource")
ENCODERS = {record: compile_encoder(load(record)) for record in RECORDS}


def by_fastavro(schema, value):
    buffer = BytesIO()
    fastavro.schemaless_writer(buffer, schema, value)
    return buffer.getvalue()


@given(number=st.integers(-(2**63), 2**63 - 1))
@settings(max_examples=300, deadline=None)
def test_integers_are_zig_zag(number):
    assert varint(number) == by_fastavro("long", number)


VALUES = {
    "float": st.none() | st.floats() | st.floats(width=32).map(np.float32),
    "double": st.none() | st.floats() | st.floats(width=32).map(np.float32),
    "int": st.none() | st.integers(-(2**40), 2**40) | st.just(math.nan),
    "long": st.none() | st.integers(-(2**64), 2**64) | st.just(np.int64(-7)),
    "boolean": st.none() | st.booleans() | st.sampled_from([np.True_, 2.5, math.nan]),
    "string": st.none() | st.text() | st.just(np.str_("r")),
}
REQUIRED = {"long": 5, "int": 3, "double": -7.25, "float": 1.5}


def field_type(field):
    return field["type"][1] if isinstance(field["type"], list) else field["type"]


@st.composite
def records(draw):
    """Draw a record's name and its values: some fields are left out."""
    record = draw(st.sampled_from(RECORDS))
    fields = load(record)["fields"]
    values = {f["name"]: REQUIRED.get(field_type(f)) for f in fields}
    optional = [f for f in fields if "default" in f]
    for field in draw(st.lists(st.sampled_from(optional), max_size=12)):
        values[field["name"]] = draw(VALUES[field_type(field)])
    return record, values


@given(drawn=records())
@settings(max_examples=300, deadline=None)
def test_records_have_the_bytes_of_fastavro(drawn):
    record, values = drawn
    expected = by_fastavro(load(record), flat_record(record, values))
    assert ENCODERS[record](values) == expected


NESTED = fastavro.parse_schema(
    {
        "type": "record",
        "name": "n.outer",
        "fields": [
            {"name": "outerId", "type": "long"},
            {
                "name": "parts",
                "type": {
                    "type": "array",
                    "items": {
                        "type": "record",
                        "name": "part",
                        "fields": [
                            {"name": "weight", "type": "float"},
                            {"name": "kind", "type": "string", "default": "star"},
                        ],
                    },
                },
            },
            {"name": "first", "type": ["null", "n.part"], "default": None},
            {"name": "counts", "type": {"type": "map", "values": "int"}},
            {"name": "pixels", "type": ["null", "bytes"], "default": None},
            {"name": "raw", "type": "bytes"},
        ],
    }
)
OUTER = {
    "outerId": 1,
    "parts": [{"weight": 0.5, "kind": "dipole"}, {"weight": 2.0}],
    "first": {"weight": 1.0},
    "counts": {"a": 300, "b": -1},
    "pixels": b"\0" * 70,
    "raw": b"",
}


@pytest.mark.parametrize(
    "changes", [{}, {"parts": [], "counts": {}}, {"first": None, "pixels": None}]
)
def test_nested_records_have_the_bytes_of_fastavro(changes):
    value = OUTER | changes
    assert compile_encoder(NESTED)(value) == by_fastavro(NESTED, value)


def test_fields_that_the_schema_has_not_are_left_out():
    encode = compile_encoder(NESTED)
    assert encode(OUTER | {"colour": 3}) == encode(OUTER)


def test_bytes_may_go_before():
    encode = compile_encoder(NESTED)
    assert encode(OUTER, before=b"head") == b"head" + encode(OUTER)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"outerId": None}, r"Outer None: \['outerId'\] have no value"),
        ({"raw": None}, r"Outer 1: \['raw'\]"),
        ({"parts": [{"weight": math.nan}]}, r"Part None: \['weight'\]"),
        ({"first": {"weight": 1e39}}, r"Part None: \['weight'\]"),
        ({"counts": {"a": 2**31}}, r"Outer 1: \['counts'\]"),
    ],
)
def test_what_must_have_a_value_is_named(changes, said):
    with pytest.raises(PluginContractError, match=said):
        compile_encoder(NESTED)(OUTER | changes)


@pytest.mark.parametrize(
    "type_",
    [
        ["null", "int", "string"],
        {"type": "enum", "name": "e", "symbols": ["a"]},
        {"type": "long", "logicalType": "timestamp-micros"},
        {"type": "fixed", "name": "f", "size": 3},
    ],
)
def test_types_that_alerts_have_not_are_refused(type_):
    schema = {"type": "record", "name": "r", "fields": [{"name": "x", "type": type_}]}
    with pytest.raises(ValueError, match="can not be encoded"):
        compile_encoder(fastavro.parse_schema(schema))
