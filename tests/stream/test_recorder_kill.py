"""A recorder that is killed at any moment loses nothing and repeats nothing."""

import signal
import subprocess
import sys
from hashlib import sha256
from random import Random

import pytest

from streamdiff.adapters.archive.verify import verify
from streamdiff.adapters.event_log import read_log

KILLS = 50
PARTITIONS, RECORDS = 3, 4000

# Forks a recorder for each line on its standard input, so that a start is quick. The
# line says at which line of its code, or in which of the pieces that it writes, the
# recorder kills itself; 0 for never. What it reads is made from its offset; what the
# group has committed is in a file.
SERVER = """
import hashlib, io, json, os, signal, sys
from pathlib import Path
from streamdiff import log
from streamdiff.adapters.archive.folder import Archive, RollLimits
from streamdiff.ports import CommitPoint, ConsumedRecord, TopicPartition
from streamdiff.stream.recorder import Recorder
from streamdiff.testing.stream import FakeClock

folder, group = Path(sys.argv[1]), Path(sys.argv[2])
partitions, records = map(int, sys.argv[3:])
clock = FakeClock()
log.configure(level="error")
left = {"lines": 0, "pieces": 0}


def count(what):
    left[what] -= 1
    if left[what] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def trace(frame, event, argument):
    name = frame.f_code.co_filename
    return each_line if name.endswith(WATCHED) or "/archive/" in name else None


WATCHED = ("recorder.py", "whole_file.py", "event_log.py", "<string>")


def each_line(frame, event, argument):
    if event == "line":
        count("lines")
    return each_line


class Torn(io.FileIO):
    def write(self, data):
        middle = len(data) // 2
        super().write(data[:middle])
        count("pieces")
        return middle + super().write(data[middle:])


opened = Path.open


def open_torn(path, mode="r", *options, **named):
    if mode in {"wb", "xb"}:
        return Torn(path, mode)
    return opened(path, mode, *options, **named)


class Source:
    def consumer(self, name):
        return self

    def subscribe(self, topics, *, on_assign, on_revoke, on_lost):
        known = committed()
        starts = {
            TopicPartition("t", p): CommitPoint(known.get(str(p), 0))
            for p in range(partitions)
        }
        self.next = [point.offset for point in starts.values()]
        self.turn = 0
        on_assign(starts)

    def poll(self, timeout_s):
        left = [p for p in range(partitions) if self.next[p] < records]
        if not left:
            clock.advance(timeout_s)
            return None
        self.turn += 1
        p = left[self.turn % len(left)]
        offset, self.next[p] = self.next[p], self.next[p] + 1
        return made(p, offset)

    def commit(self, offsets):
        known = committed()
        known |= {str(p.partition): point.offset for p, point in offsets.items()}
        group.with_suffix(".new").write_text(json.dumps(known))
        group.with_suffix(".new").rename(group)
        return True

    def close(self):
        pass


def committed():
    return json.loads(group.read_text()) if group.exists() else {}


def made(partition, offset):
    value = hashlib.sha256(b"%d %d" % (partition, offset)).digest() * 3
    return ConsumedRecord(
        topic="t", partition=partition, offset=offset, key=None, value=value
    )


def record():
    limits = RollLimits(block_bytes=2000, size_mib=0.02)
    with Archive(folder, limits=limits, clock=clock) as archive:
        Recorder(Source(), archive, topics=["t"], group="g", clock=clock).run(
            until_idle_s=1.0
        )


for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        left["lines"], left["pieces"] = map(int, line.split())
        Path.open = open_torn
        if left["lines"]:
            sys.settrace(trace)
        record()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


@pytest.fixture
def record(tmp_path):
    """Run a recorder up to a line, or to a piece, and return how it ended."""
    arguments = [tmp_path / "archive", tmp_path / "group", PARTITIONS, RECORDS]
    process = subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", SERVER, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def record(lines=0, pieces=0):
        process.stdin.write(f"{lines} {pieces}\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    yield record
    process.stdin.close()
    process.wait()
    process.stdout.close()


def test_nothing_is_lost_or_repeated(record, tmp_path):
    def logs():
        return sorted((tmp_path / "archive").glob("*.avro"))

    random, cut = Random(8), 0  # noqa: S311 - which moments, no secret
    for kill in range(KILLS):
        place = random.randrange(1, 30_000), 0
        if kill % 2:
            place = 0, random.randrange(1, 200)
        assert record(*place) == -signal.SIGKILL
        found = verify(logs()[-1:])
        assert found.is_whole
        cut += any(file.cut_bytes for file in found.files)
    assert cut
    begun = verify(logs())
    assert begun.is_whole
    assert 0 < sum(file.records for file in begun.files) < PARTITIONS * RECORDS
    assert record() == 0

    found = verify(logs())
    assert found.is_whole
    assert {file.state for file in found.files} == {"closed"}
    assert [(p.first_offset, p.last_offset, p.records) for p in found.partitions] == [
        (0, RECORDS - 1, RECORDS)
    ] * PARTITIONS
    for path in logs():
        for logged in read_log(path):
            place = b"%d %d" % (logged.partition, logged.offset)
            assert logged.value == sha256(place).digest() * 3
