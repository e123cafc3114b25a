from io import BytesIO

import fastavro
import pytest

from streamdiff.adapters.avro.alert import alert_record
from streamdiff.adapters.avro.container import (
    ContainerFrame,
    container_bytes,
    read_alerts,
    write_alerts,
)
from streamdiff.adapters.avro.plugin import encode_alert
from streamdiff.adapters.avro.schemas import load
from streamdiff.errors import UndecodableError


@pytest.fixture
def records(make_alert):
    return [alert_record(make_alert(diaSourceId=i, psfFlux=i / 4)) for i in range(5)]


@pytest.fixture
def container(tmp_path, records):
    write_alerts(tmp_path / "7_3.avro", records)
    return tmp_path / "7_3.avro"


def test_alerts_come_back_in_their_order(container, records):
    again = list(read_alerts(container))
    assert [a["diaSource"]["psfFlux"] for a in again] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert again[0]["cutoutScience"] == records[0]["cutoutScience"]


def test_what_was_read_can_be_written_again(container, tmp_path):
    write_alerts(tmp_path / "again.avro", read_alerts(container))
    assert (tmp_path / "again.avro").read_bytes() == container.read_bytes()


def test_a_visit_without_alerts_is_an_empty_container(tmp_path):
    write_alerts(tmp_path / "none.avro", [])
    assert list(read_alerts(tmp_path / "none.avro")) == []


def test_a_failed_write_leaves_the_old_file_and_nothing_else(container, records):
    before = container.read_bytes()
    with pytest.raises(ValueError, match="colour"):
        write_alerts(container, [*records, records[0] | {"colour": 1}])
    assert container.read_bytes() == before
    assert list(container.parent.iterdir()) == [container]


def test_a_new_file_replaces_the_old(container, records):
    write_alerts(container, records[:1])
    assert len(list(read_alerts(container))) == 1


def test_a_container_is_readable_by_everyone_that_the_umask_allows(container):
    other = container.parent / "other"
    other.touch()
    assert container.stat().st_mode == other.stat().st_mode


@pytest.mark.parametrize("content", [b"", b"Obj", b"\0\0\0\0\x64abc", b"SIMPLE  ="])
def test_what_is_no_container_is_refused_by_its_path(tmp_path, content):
    path = tmp_path / "other.bin"
    path.write_bytes(content)
    with pytest.raises(UndecodableError, match=r"other\.bin is no complete Avro"):
        list(read_alerts(path))


def test_a_damaged_container_is_refused(container):
    content = bytearray(container.read_bytes())
    content[-40] ^= 0xFF
    container.write_bytes(content)
    with pytest.raises(UndecodableError, match=r"7_3\.avro is no complete Avro"):
        list(read_alerts(container))


def test_a_truncated_container_is_refused(container):
    container.write_bytes(container.read_bytes()[:-40])
    with pytest.raises(UndecodableError, match=r"7_3\.avro is no complete Avro"):
        list(read_alerts(container))


def test_a_container_around_one_alert_is_that_of_fastavro(make_alert):
    alert = make_alert(diaSourceId=7)
    frame = ContainerFrame.of(load("alert"), codec="null")
    expected = container_bytes([alert_record(alert)], codec="null")
    assert frame.around(encode_alert(alert), "7") == expected


def test_a_container_around_one_alert_may_be_deflated(make_alert):
    alert = make_alert(diaSourceId=7)
    frame = ContainerFrame.of(load("alert"), codec="deflate")
    container = frame.around(encode_alert(alert), "7")
    (read,) = fastavro.reader(BytesIO(container))
    assert read == alert_record(alert)
    assert len(container) < len(
        ContainerFrame.of(load("alert"), codec="null").around(encode_alert(alert), "7")
    )
