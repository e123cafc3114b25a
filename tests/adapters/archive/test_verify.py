"""Damage is found, and what is none is not taken for it."""

import os

import pytest

from streamdiff.adapters.archive.index import index_file
from streamdiff.adapters.archive.verify import Gap, verify
from streamdiff.adapters.event_log import log_files, write_log


@pytest.fixture
def verified(folder):
    """Verify the archive of the folder."""
    return lambda: verify(log_files([folder]))


def problems(verification):
    return [problem for file in verification.files for problem in file.problems]


def test_a_whole_archive_passes(fill, verified):
    fill(range(5), range(5, 9), range(9, 12), size_mib=1e-6)
    found = verified()
    assert found.is_whole
    assert [file.state for file in found.files] == ["closed"] * 3
    assert [file.records for file in found.files] == [5, 4, 3]
    (partition,) = found.partitions
    assert (partition.first_offset, partition.last_offset) == (0, 11)
    assert (partition.records, partition.markers, partition.gaps) == (12, 0, [])


def test_a_flipped_bit_of_a_closed_log_is_found(fill, folder, verified):
    fill(range(50), range(50, 99))
    path = folder / "000001.avro"
    whole = path.read_bytes()
    header = whole.index(whole[-16:]) + 16
    for place in (*range(header, len(whole), 7), len(whole) - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        assert not verified().is_whole, place
    path.write_bytes(whole)
    assert verified().is_whole


def test_a_cut_closed_log_is_found(fill, folder, verified):
    fill(range(50))
    path = folder / "000001.avro"
    os.truncate(path, path.stat().st_size - 1)
    assert "no complete event log" in problems(verified())[0]


def test_a_flipped_bit_of_an_index_is_found(fill, folder, verified):
    fill(range(50))
    path = index_file(folder / "000001.avro")
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        assert not verified().is_whole, place


def test_a_cut_open_log_is_no_damage(fill, folder, verified):
    fill(range(5), range(5, 9))
    path = folder / "000001.avro"
    index_file(path).unlink()
    os.truncate(path, path.stat().st_size - 20)
    found = verified()
    assert found.is_whole
    (file,) = found.files
    assert (file.state, file.records) == ("open", 5)
    assert file.cut_bytes > 0


def test_damage_inside_an_open_log_is_found(fill, folder, verified):
    fill(range(5), range(5, 9))
    path = folder / "000001.avro"
    index_file(path).unlink()
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(damaged[-16:], damaged.index(damaged[-16:]) + 16)] ^= 1
    path.write_bytes(damaged)
    assert problems(verified())


def test_a_cut_log_that_others_follow_is_damage(fill, folder, verified):
    fill(range(5), range(5, 9), size_mib=1e-6)
    path = folder / "000001.avro"
    index_file(path).unlink()
    os.truncate(path, path.stat().st_size - 1)
    assert problems(verified())


def test_a_cut_log_without_a_recorder_is_damage(folder, record, verified):
    write_log(folder / "a.avro", map(record, range(50)))
    assert verified().is_whole
    os.truncate(folder / "a.avro", (folder / "a.avro").stat().st_size - 1)
    assert problems(verified())


def test_what_is_no_log_is_damage(folder, verified):
    folder.mkdir()
    (folder / "a.avro").write_bytes(b"")
    (folder / "b.avro").write_bytes(b"SIMPLE")
    assert len(problems(verified())) == 2


def test_repeats_are_found_across_logs(folder, record, verified):
    write_log(folder / "a.avro", map(record, [0, 1, 2]))
    write_log(folder / "b.avro", map(record, [2, 3]))
    found = verified()
    assert problems(found) == ["t[0]: offset 2 follows 2"]
    assert found.partitions[0].repeats == 1


def test_partitions_and_topics_count_for_themselves(folder, record, verified):
    records = [record(0), record(0, partition=1), record(0, topic="u"), record(1)]
    write_log(folder / "a.avro", records)
    found = verified()
    assert found.is_whole
    assert [(p.topic, p.partition) for p in found.partitions] == [
        ("t", 0),
        ("t", 1),
        ("u", 0),
    ]


def test_gaps_are_told_apart_and_no_damage(fill, verified):
    fill([0, 1, 3, 4], [9, 10])
    fill([12, 20])
    fill([31])
    found = verified()
    assert found.is_whole
    (partition,) = found.partitions
    assert partition.markers == 2
    assert (partition.within, partition.between) == (2, 1)
    assert partition.missing == 4 + 7 + 10
    assert partition.gaps == [
        Gap(first=21, last=30, within=False),
        Gap(first=5, last=8, within=True),
        Gap(first=13, last=19, within=True),
    ]
