"""An archive has each record once, whatever ended its writer."""

import errno
import os
import shutil

import pytest

from streamdiff.adapters.archive.index import index_file, read_head
from streamdiff.adapters.event_log import read_log
from streamdiff.errors import StoreUnavailableError, StreamError
from streamdiff.ports import TopicPartition

P0 = TopicPartition("t", 0)


def logs(folder):
    return sorted(path.name for path in folder.glob("*.avro"))


def test_records_come_back_in_their_order(fill, offsets):
    fill(range(5), range(5, 9))
    assert offsets() == list(range(9))


def test_nothing_taken_leaves_no_log(archive, folder):
    with archive():
        pass
    assert logs(folder) == []


def test_a_record_is_taken_once(archive, record, offsets):
    with archive() as opened:
        assert [opened.take(record(n)) for n in (0, 1, 0, 1, 2)] == [1, 1, 0, 0, 1]
    assert offsets() == [0, 1, 2]


def test_the_next_start_goes_on_where_the_files_end(fill, archive, record, offsets):
    fill(range(3))
    with archive() as opened:
        assert opened.ends() == {P0: 3}
        assert [opened.take(record(n)) for n in range(5)] == [0, 0, 0, 1, 1]
    assert offsets() == list(range(5))


def test_a_large_log_is_finished_and_another_begun(fill, folder, offsets):
    fill(range(3), range(3, 6), range(6, 7), size_mib=1e-6)
    assert logs(folder) == [f"{n:06d}.avro" for n in (1, 2, 3)]
    assert offsets() == list(range(7))


def test_an_old_log_is_finished(archive, record, clock, folder):
    with archive(age_s=60) as opened:
        for offset in range(3):
            opened.take(record(offset))
            opened.sync()
            clock.advance(31)
        assert logs(folder) == ["000001.avro"]
        opened.sync()
        assert opened.logs == 1
        assert index_file(folder / "000001.avro").exists()


def test_a_log_with_many_subjects_is_finished(archive, record, folder):
    with archive(subjects=3) as opened:
        for offset in range(7):
            opened.take(record(offset, topic=f"t{offset}"))
            opened.sync()
    assert logs(folder) == [f"{n:06d}.avro" for n in (1, 2, 3)]


def test_blocks_are_due_by_size_and_by_age(archive, record, clock):
    with archive(block_bytes=1000, block_age_s=5) as opened:
        assert not opened.is_due
        opened.take(record(0))
        assert not opened.is_due
        clock.advance(5)
        assert opened.is_due
        opened.sync()
        assert not opened.is_due
        opened.take(record(1, value=bytes(1000)))
        assert opened.is_due


def test_sync_tells_what_the_disk_has_got(archive, record):
    with archive() as opened:
        opened.take(record(4))
        opened.take(record(7, partition=1))
        assert opened.sync() == {P0: 5, TopicPartition("t", 1): 8}
        assert opened.sync() == {}


def test_what_is_not_synced_is_not_seen(archive, record, folder):
    with archive() as opened:
        opened.take(record(0))
        assert logs(folder) == []
        opened.sync()
        assert [r.offset for r in read_log(folder / "000001.avro")] == [0]


def test_one_process_at_a_time_writes(archive, folder):
    with archive(), pytest.raises(StreamError, match=f"process {os.getpid()} records"):
        archive().__enter__()
    with archive():
        pass


def test_a_folder_that_can_not_be_made_is_an_error(archive, folder):
    folder.write_text("a file")
    with pytest.raises(StoreUnavailableError, match="can not be written"):
        archive().__enter__()


def without_index(folder, number=1):
    path = folder / f"{number:06d}.avro"
    index_file(path).unlink()
    return path


def test_a_log_may_end_anywhere(fill, folder, archive, record, offsets, tmp_path):
    """A crash can cut it at any byte: all that is lost is a block of its end."""
    fill(range(3), range(3, 7), range(7, 9))
    whole = without_index(folder).read_bytes()
    ends = [0, 3, 7, 9]
    header = whole.index(whole[-16:]) + 16
    for size in (*range(header, len(whole), 5), len(whole) - 1, len(whole)):
        shutil.rmtree(folder)
        folder.mkdir()
        (folder / "000001.avro").write_bytes(whole[:size])
        with archive() as opened:
            end = opened.ends().get(P0, 0)
            assert end in ends
            for offset in range(end, 10):
                opened.take(record(offset))
        assert offsets() == list(range(10))
    assert end == 9


def test_a_repaired_log_has_its_index(fill, folder, archive):
    fill(range(3), range(3, 6))
    path = without_index(folder)
    os.truncate(path, path.stat().st_size - 1)
    with archive():
        head = read_head(path)
    assert (head.records, head.blocks) == (3, 1)
    assert (head.size, head.spans[0].last_offset) == (path.stat().st_size, 2)


def test_an_index_made_again_is_the_same(fill, folder, archive):
    fill(range(3), range(3, 6))
    index = index_file(folder / "000001.avro")
    before = index.read_bytes()
    without_index(folder)
    with archive():
        assert index.read_bytes() == before


def test_what_was_not_named_yet_is_removed(folder, archive):
    folder.mkdir()
    (folder / ".000001.avro.part").write_bytes(b"Obj")
    with archive():
        assert not list(folder.glob("*.part"))


def test_damage_before_the_end_is_no_cut(fill, folder, archive):
    fill(range(3), range(3, 6))
    path = without_index(folder)
    damaged = bytearray(path.read_bytes())
    mark = bytes(damaged[-16:])
    damaged[damaged.index(mark, damaged.index(mark) + 16)] ^= 1  # of the first block
    path.write_bytes(damaged)
    with pytest.raises(StreamError, match="Move it out of the folder"):
        archive().__enter__()
    assert path.read_bytes() == damaged


@pytest.mark.parametrize("offset", [0, 8])
def test_a_topic_that_was_made_anew_is_refused(fill, archive, record, offset):
    fill(range(5))
    fill(range(5, 9))
    with archive() as opened:
        opened.take(record(offset))
        with pytest.raises(StreamError, match="was made anew"):
            opened.take(record(offset, value=b"another"))


def test_a_full_disk_ends_the_recording(archive, record, monkeypatch, offsets):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with archive() as opened:
        opened.take(record(0))
        opened.sync()
        opened.take(record(1))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(StoreUnavailableError, match="No space left"):
                opened.sync()
        assert opened.sync() == {}
    with archive() as again:
        again.take(record(1))
    assert offsets() == [0, 1]
