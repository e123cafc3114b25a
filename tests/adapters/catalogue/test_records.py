import numpy as np
import pytest

from streamdiff.adapters.avro.schemas import load
from streamdiff.adapters.catalogue.records import decoded, encoded, written_version
from streamdiff.model import Column, DiaSources


def table(**values):
    columns = {name: np.asarray(v) for name, v in values.items()}
    described = (Column(name, v.dtype.str, "", "") for name, v in columns.items())
    return DiaSources(tuple(described), columns)


def round_trip(sources):
    return list(decoded(encoded(sources), written_version()))


def test_what_was_measured_comes_back():
    found = round_trip(
        table(
            diaSourceId=np.array([1 << 62, 5]),
            psfFlux=np.array([1.5, -2.25], np.float32),
            ra=[359.123456789012, 0.1],
            isDipole=[True, False],
            psfNdata=np.array([7, 8], np.int32),
        )
    )
    assert [row["diaSourceId"] for row in found] == [1 << 62, 5]
    assert [row["psfFlux"] for row in found] == [1.5, -2.25]
    assert [row["ra"] for row in found] == [359.123456789012, 0.1]
    assert [row["isDipole"] for row in found] == [True, False]
    assert [row["psfNdata"] for row in found] == [7, 8]
    assert all(type(row["isDipole"]) is bool for row in found)


def test_every_number_of_the_schema_has_a_place():
    (row,) = round_trip(table(diaSourceId=[1]))
    texts = {"band"}
    assert set(row) == {f["name"] for f in load("diaSource")["fields"]} - texts


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_a_number_that_is_none_or_does_not_fit_is_missing(value):
    first, second = round_trip(table(psfFlux=[value, 2.0]))
    assert first["psfFlux"] is None
    assert second["psfFlux"] == 2.0


def test_a_flag_that_is_not_known_is_missing():
    rows = round_trip(table(isDipole=[np.nan, 1.0, 0.0]))
    assert [row["isDipole"] for row in rows] == [None, True, False]


def test_columns_that_alerts_have_no_field_for_are_left_out():
    (row,) = round_trip(table(diaSourceId=[1], ownColumn=[3.0]))
    assert "ownColumn" not in row


def test_nothing_is_nothing():
    assert round_trip(table(diaSourceId=np.zeros(0, int))) == []
