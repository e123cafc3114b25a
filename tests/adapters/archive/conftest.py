import pytest

from streamdiff.adapters.archive.folder import Archive, RollLimits
from streamdiff.adapters.event_log import log_files, read_log
from streamdiff.ports import ConsumedRecord
from streamdiff.testing.stream import FakeClock


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "archive"


@pytest.fixture
def archive(folder, clock):
    """Open the archive of the folder; limits can be given."""
    return lambda **limits: Archive(folder, limits=RollLimits(**limits), clock=clock)


@pytest.fixture
def record():
    """Make a record, by its offset."""

    def make(offset, partition=0, value=b"value", topic="t", **fields):
        return ConsumedRecord(
            topic=topic,
            partition=partition,
            offset=offset,
            key=None,
            value=value,
            **fields,
        )

    return make


@pytest.fixture
def fill(archive, record):
    """Record some offsets, each block of them synced, and finish the log."""

    def fill(*blocks, **limits):
        with archive(**limits) as opened:
            for offsets in blocks:
                for offset in offsets:
                    opened.take(record(offset))
                opened.sync()

    return fill


@pytest.fixture
def offsets(folder):
    """Return the offsets that the archive has, in its order."""
    return lambda: [r.offset for path in log_files([folder]) for r in read_log(path)]
