"""A recorder that is killed at any moment loses nothing and repeats nothing."""

import os
import signal
import subprocess
import sys
from hashlib import sha256
from random import Random

import pytest

from streamdiff.adapters.archive.verify import verify
from streamdiff.adapters.event_log import read_log

KILLS = 50
PARTITIONS, RECORDS = 3, 3000

# Forks a recorder for each line on its standard input, so that a start is quick.
# What it reads is made from its offset; what the group has committed is in a file.
SERVER = """
import hashlib, json, os, sys
from pathlib import Path
from streamdiff import log
from streamdiff.adapters.archive.folder import Archive, RollLimits
from streamdiff.ports import CommitPoint, ConsumedRecord, TopicPartition
from streamdiff.stream.recorder import Recorder
from streamdiff.testing.stream import FakeClock

folder, group = Path(sys.argv[1]), Path(sys.argv[2])
partitions, records, progress = map(int, sys.argv[3:])
clock = FakeClock()
log.configure(level="error")


class Source:
    def consumer(self, name):
        return self

    def subscribe(self, topics, *, on_assign, on_revoke, on_lost):
        known = json.loads(group.read_text()) if group.exists() else {}
        starts = {
            TopicPartition("t", p): CommitPoint(known.get(str(p), 0))
            for p in range(partitions)
        }
        self.next = [point.offset for point in starts.values()]
        self.turn = 0
        on_assign(starts)

    def poll(self, timeout_s):
        os.write(progress, b".")
        left = [p for p in range(partitions) if self.next[p] < records]
        if not left:
            clock.advance(timeout_s)
            return None
        self.turn += 1
        p = left[self.turn % len(left)]
        offset, self.next[p] = self.next[p], self.next[p] + 1
        return made(p, offset)

    def commit(self, offsets):
        known = json.loads(group.read_text()) if group.exists() else {}
        known |= {str(p.partition): point.offset for p, point in offsets.items()}
        group.with_suffix(".new").write_text(json.dumps(known))
        group.with_suffix(".new").rename(group)
        return True

    def close(self):
        pass


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


for _ in sys.stdin:
    pid = os.fork()
    if pid == 0:
        record()
        os._exit(0)
    print(pid, flush=True)
    _, status = os.waitpid(pid, 0)
    print(status, flush=True)
"""


class Recorders:
    """Starts recorders that tell of each poll, and kills them."""

    def __init__(self, process, progress):
        self.process, self.progress = process, progress

    def start(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def kill_after(self, polls):
        pid = self.start()
        while polls > 0 and (told := os.read(self.progress, polls)):
            polls -= len(told)
        os.kill(pid, signal.SIGKILL)
        assert int(self.process.stdout.readline()) == signal.SIGKILL
        self.forget_progress()

    def finish(self):
        self.start()
        assert int(self.process.stdout.readline()) == 0

    def forget_progress(self):
        os.set_blocking(self.progress, False)
        try:
            while os.read(self.progress, 1 << 16):
                pass
        except BlockingIOError:
            os.set_blocking(self.progress, True)


@pytest.fixture
def recorders(tmp_path):
    reader, writer = os.pipe()
    arguments = [tmp_path / "archive", tmp_path / "group", PARTITIONS, RECORDS, writer]
    process = subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", SERVER, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[writer],
    )
    os.close(writer)
    yield Recorders(process, reader)
    process.stdin.close()
    process.wait()
    process.stdout.close()
    os.close(reader)


def logs(tmp_path):
    return sorted((tmp_path / "archive").glob("*.avro"))


def test_nothing_is_lost_or_repeated(recorders, tmp_path):
    random = Random(8)  # noqa: S311 - which moments, no secret
    for kill in range(KILLS):
        recorders.kill_after(random.choice([0, random.randrange(1, 300)]))
        if kill % 5 == 4:
            assert verify(logs(tmp_path)).is_whole
    begun = sum(1 for path in logs(tmp_path) for _ in read_log(path, allow_cut=True))
    assert 0 < begun < PARTITIONS * RECORDS
    recorders.finish()

    found = verify(logs(tmp_path))
    assert found.is_whole
    assert {file.state for file in found.files} == {"closed"}
    assert [(p.first_offset, p.last_offset, p.records) for p in found.partitions] == [
        (0, RECORDS - 1, RECORDS)
    ] * PARTITIONS
    for path in logs(tmp_path):
        for record in read_log(path):
            place = b"%d %d" % (record.partition, record.offset)
            assert record.value == sha256(place).digest() * 3
