import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdiff.adapters.event_log import (
    log_fields,
    log_files,
    logged_record,
    read_log,
    write_log,
)
from streamdiff.errors import UndecodableError
from streamdiff.ports import ConsumedRecord

BYTES = st.none() | st.binary(max_size=20)
RECORDS = st.builds(
    ConsumedRecord,
    topic=st.text(min_size=1, max_size=9),
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
    key=BYTES,
    value=BYTES,
    headers=st.lists(st.tuples(st.text(max_size=9), BYTES), max_size=3).map(tuple),
    timestamp_ms=st.integers(-1, 2**62),
    timestamp_type=st.sampled_from(["create", "log_append", "unknown"]),
)


def records(n):
    return [
        ConsumedRecord(topic="t", partition=0, offset=i, key=None, value=b"x" * i)
        for i in range(n)
    ]


@given(record=RECORDS)
def test_a_record_comes_back_bit_for_bit(record):
    assert logged_record(log_fields(record)) == record


def test_a_log_comes_back_in_its_order(tmp_path):
    write_log(tmp_path / "a.avro", records(300))
    assert list(read_log(tmp_path / "a.avro")) == records(300)


def test_a_folder_stands_for_its_logs(tmp_path):
    for name in ("b", "a"):
        write_log(tmp_path / f"{name}.avro", [])
    (tmp_path / "a.json").touch()
    assert [p.name for p in log_files([tmp_path])] == ["a.avro", "b.avro"]


def test_no_log_is_an_error(tmp_path):
    with pytest.raises(UndecodableError, match="no event log"):
        log_files([tmp_path])


@pytest.mark.parametrize("content", [b"", b"Obj\x01", b"SIMPLE  = T"])
def test_what_is_no_log_is_an_error(tmp_path, content):
    path = tmp_path / "x.avro"
    path.write_bytes(content)
    with pytest.raises(UndecodableError, match=r"x\.avro is no complete event log"):
        list(read_log(path))


def test_a_missing_log_is_an_error(tmp_path):
    with pytest.raises(UndecodableError, match="can not be read"):
        list(read_log(tmp_path / "x.avro"))


def test_what_comes_before_a_cut_is_given(tmp_path):
    path = tmp_path / "x.avro"
    write_log(path, records(2000))
    path.write_bytes(path.read_bytes()[:-1000])
    given = []
    with pytest.raises(UndecodableError):
        given.extend(read_log(path))
    assert given == records(2000)[: len(given)]
    assert given
