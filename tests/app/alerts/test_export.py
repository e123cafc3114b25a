"""Tables of DiaSources, read by other libraries."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.io.votable import parse
from astropy.table import Table

from streamdiff.app.alerts import export
from streamdiff.app.alerts.export import table_columns, write_table
from streamdiff.errors import ConfigError

FIELDS = [column.name for column in table_columns()[:-1]]


@pytest.fixture
def records(alert):
    return [alert(0, reliability=0.25), alert(1, diaObjectId=2**62 + 1)]


def rows_of(path):
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    table = Table.read(path, format="votable")
    masked = Table(table, masked=True)
    return [
        {n: None if row[n] is np.ma.masked else row[n] for n in masked.colnames}
        for row in masked
    ]


@pytest.mark.parametrize("ending", ["parquet", "vot", "xml", "VOT"])
def test_all_values_and_missing_ones_arrive(tmp_path, records, ending):
    path = tmp_path / f"sources.{ending}"

    assert write_table(path, records) == 2

    for row, record in zip(rows_of(path), records, strict=True):
        source = record["diaSource"]
        for name in FIELDS:
            found, expected = row[name], source[name]
            if expected is None:
                assert found is None, name
            elif isinstance(expected, float):
                # both are float32 where the schema has it
                assert found == pytest.approx(expected, rel=1e-6), name
            else:
                assert found == expected, name
        assert row["photometric"] == record["provenance"]["photometric"]


def test_positions_and_ids_are_exact(tmp_path, records):
    for ending in ("parquet", "vot"):
        path = tmp_path / f"a.{ending}"
        write_table(path, records)
        rows = rows_of(path)
        assert rows[1]["diaObjectId"] == 2**62 + 1
        assert rows[1]["ra"] == records[1]["diaSource"]["ra"]


def test_columns_have_units_that_astropy_knows(tmp_path, records):
    path = tmp_path / "a.vot"
    write_table(path, records)

    table = Table.read(path, format="votable")

    assert table["psfFlux"].unit == units.nJy
    assert table["ra"].unit == units.deg
    assert table["midpointMjdTai"].unit == units.day
    assert not any(
        isinstance(c.unit, units.UnrecognizedUnit) for c in table.columns.values()
    )
    stored = pq_schema(tmp_path, records)
    assert stored.field("psfFlux").metadata[b"unit"] == b"nJy"


def pq_schema(tmp_path, records):
    write_table(tmp_path / "a.parquet", records)
    return pq.read_schema(tmp_path / "a.parquet")


def test_the_votable_is_one(tmp_path, records):
    path = tmp_path / "a.vot"
    write_table(path, records)

    assert parse(path, verify="exception").get_first_table().nrows == 2


@pytest.mark.parametrize("ending", ["parquet", "vot"])
def test_no_alerts_are_a_table_without_rows(tmp_path, ending):
    path = tmp_path / f"a.{ending}"

    assert write_table(path, []) == 0
    assert rows_of(path) == []


def test_many_alerts_are_written_in_batches(tmp_path, records, monkeypatch):
    monkeypatch.setattr(export, "_ROWS_AT_ONCE", 3)
    path = tmp_path / "a.parquet"

    write_table(path, records * 4)

    assert pq.ParquetFile(path).num_row_groups == 3
    assert [row["snr"] for row in rows_of(path)] == [10.0, 11.0] * 4


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"must end in \.parquet"):
        write_table(tmp_path / "a.csv", [])
