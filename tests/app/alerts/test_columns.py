import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdiff.app.alerts.columns import FieldColumn, read_table
from streamdiff.app.alerts.fields import (
    Group,
    flattened,
    group_of,
    schema_fields,
    short_name,
)

KINDS = (
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.floats(width=32),
    st.text(max_size=5),
)
# Values of one kind, some of them missing.
COLUMNS = [st.lists(st.none() | kind, max_size=9) for kind in KINDS]


def same(a, b):
    if isinstance(a, float) and math.isnan(a):
        return isinstance(b, float) and math.isnan(b)
    return type(a) is type(b) and a == b


@given(values=st.one_of(COLUMNS))
def test_a_column_gives_back_what_it_was_made_of(values):
    column = FieldColumn.of(values)
    kept = [column.value(row) for row in range(len(values))]
    assert all(map(same, values, kept))
    assert not column.differs(FieldColumn.of(values)).any()


@given(parts=st.one_of([st.tuples(column, column) for column in COLUMNS]))
def test_columns_of_one_field_are_joined_exactly(parts):
    first, second = parts
    column = FieldColumn.joined([FieldColumn.of(first), FieldColumn.of(second)])
    kept = [column.value(row) for row in range(len(first) + len(second))]
    assert all(map(same, [*first, *second], kept))


def test_a_column_takes_no_more_memory_than_its_values_need():
    kinds = {
        "bool": [True, None],
        "int8": [3, None],
        "int64": [2**40],
        "float32": [0.5, 2.0**100],
        "float64": [0.1],
        "object": ["r"],
    }
    for dtype, values in kinds.items():
        assert FieldColumn.of(values).values.dtype == np.dtype(dtype)


def test_more_alerts_than_a_chunk_are_one_table(alert, side):
    few = [alert(rank) for rank in range(3)]
    many = [few[n % 3] | {"diaSourceId": n} for n in range(2500)]
    unlike = [record | {"note": "x"} for record in many[::5]]
    table = read_table(side(*many[::-1], *(r | {"diaSourceId": -1} for r in unlike)))
    assert len(table) == 2500 + len({r["diaSource"]["ra"] for r in unlike})
    note = table.column("note")
    assert (~note.missing).sum() == len(table) - 2500
    assert (note.values[~note.missing] == "x").all()
    for row in (0, 1, 1234):
        place = table.place(row)
        assert [*many[::-1], *unlike][place.number]["diaSource"]["ra"] == (
            table.column("diaSource.ra").value(row)
        )


@pytest.mark.parametrize(
    ("field", "group"),
    [
        ("diaSource.psfFlux", Group.MEASURED),
        ("cutoutScience", Group.MEASURED),
        ("diaSource.band", Group.MEASURED),
        ("diaSourceId", Group.RANKED),
        ("diaSource.parentDiaSourceId", Group.RANKED),
        ("diaSource.diaObjectId", Group.LIVE_ORDER),
        ("diaObject.ra", Group.LIVE_ORDER),
        ("prvDiaForcedSources", Group.LIVE_ORDER),
        ("provenance.plugins.find", Group.PROVENANCE),
        ("provenance.photometric", Group.MEASURED),
        ("a_field_of_another_survey", Group.MEASURED),
    ],
)
def test_every_field_is_in_one_group(field, group):
    assert group_of(field) is group


def test_the_fields_of_an_alert_are_those_of_the_schema(alert):
    found = set(flattened(alert()))
    assert {f for f in found if not f.startswith("provenance")} <= set(schema_fields())
    assert not {"timeProcessedMjdTai"} & {short_name(f) for f in schema_fields()}


def test_a_short_list_is_told_a_long_one_summed_up(alert):
    record = alert()
    fields = flattened(record)
    assert fields["provenance.templates"] == (
        "fraction 1, template_id 'd/1/2/r', version 1"
    )
    history = [record["diaSource"]] * 2
    assert flattened(record | {"prvDiaSources": history})["prvDiaSources"].startswith(
        "2 items, "
    )
