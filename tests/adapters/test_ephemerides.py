import pytest
from astropy.table import Table

from streamdiff.adapters.ephemerides import read_ephemerides
from streamdiff.errors import ConfigError

ROWS = {
    "ssObjectId": [8, 7, 7],
    "mjd_tai": [61000.0, 61001.0, 61000.0],
    "ra": [10.0, 20.1, 20.0],
    "dec": [1.0, 2.1, 2.0],
}


def written(folder, name="table.csv", **changes):
    path = folder / name
    kinds = {".csv": "ascii.csv", ".ecsv": "ascii.ecsv", ".fits": "fits"}
    columns = {k: v for k, v in (ROWS | changes).items() if v is not None}
    Table(columns).write(path, format=kinds[path.suffix])
    return path


@pytest.mark.parametrize("name", ["table.csv", "table.ecsv", "table.fits"])
def test_a_table_is_read_and_put_in_order(tmp_path, name):
    found = read_ephemerides(written(tmp_path, name, error_arcsec=[1.0, 2.0, 3.0]))
    assert found.ss_object_id.tolist() == [7, 7, 8]
    assert found.mjd_tai.tolist() == [61000, 61001, 61000]
    assert found.ra.tolist() == [20.0, 20.1, 10.0]
    assert found.error.tolist() == [3, 2, 1]


def test_errors_may_be_left_out(tmp_path):
    assert read_ephemerides(written(tmp_path)).error.tolist() == [0.1] * 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dec": None, "ra": None}, "has no column ra, dec"),
        ({"ra": ["a", "b", "c"]}, "must hold numbers"),
        ({"ssObjectId": [0, 7, 7]}, "must be positive"),
        ({"error_arcsec": [1.0, 0.0, 1.0]}, "must be positive"),
        ({"mjd_tai": [1.0, 1.0, 1.0]}, "ssObjectId 7 has two positions"),
        ({"dec": [1.0, float("nan"), 2.0]}, "not finite"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        read_ephemerides(written(tmp_path, "table.ecsv", **changes))


def test_a_file_that_is_no_table_is_named(tmp_path):
    path = tmp_path / "table.fits"
    path.write_bytes(b"no table")
    with pytest.raises(ConfigError, match=r"table\.fits: no table of ephemerides"):
        read_ephemerides(path)
    with pytest.raises(ConfigError, match=r"none\.csv"):
        read_ephemerides(tmp_path / "none.csv")
