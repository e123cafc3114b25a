"""How long archives of many events take to record, list, filter and verify.

Run it with ``python tests/benchmarks/archive.py 100000 400000``: seconds of processor
time, and the peak of memory that each step adds to what the imports take. What is
listed and verified must not add more for more events.
"""

import resource
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from streamdiff import log
from streamdiff.adapters.archive.folder import Archive, RollLimits
from streamdiff.adapters.archive.listing import Selection, list_visits
from streamdiff.adapters.archive.verify import verify
from streamdiff.adapters.avro.events import encode_event
from streamdiff.adapters.clock import SystemClock
from streamdiff.adapters.event_log import log_files
from streamdiff.model import VisitReady
from streamdiff.ports import ConsumedRecord

DETECTORS, PARTITIONS, BANDS = 189, 12, "ugrizy"
BEGAN_MS = 1_795_795_200_000
KIB = 1 << 10


def record(number: int) -> ConsumedRecord:
    """Return the visit-ready event of one detector of a camera."""
    visit, detector = divmod(number, DETECTORS)
    event = VisitReady(
        event_id=f"e{number}",
        instrument="LSSTCam",
        visit=20_261_127_000 + visit,
        detector=detector,
        band=BANDS[visit % len(BANDS)],
        midpoint_mjd_tai=61_000 + visit / 2000,
        exposure_time_s=30.0,
        image_uri=f"s3://bucket/{visit}/{detector}.fits",
        published_at=datetime(2026, 11, 27, tzinfo=UTC),
    )
    return ConsumedRecord(
        topic="streamdiff.visit-ready",
        partition=number % PARTITIONS,
        offset=number // PARTITIONS,
        key=b"LSSTCam/%d" % detector,
        value=encode_event(event),
        timestamp_ms=BEGAN_MS + number,
        timestamp_type="create",
    )


def record_all(folder: Path, events: int) -> int:
    """Record events; return how many."""
    with Archive(folder, limits=RollLimits(), clock=SystemClock()) as archive:
        for number in range(events):
            archive.take(record(number))
            if archive.is_due:
                archive.sync()
        return archive.records


def list_all(folder: Path, events: int) -> int:
    """List all visits; return how many rows there are."""
    return sum(1 for _ in list_visits(log_files([folder]), Selection()))


def list_one(folder: Path, events: int) -> int:
    """List one visit; return how many rows there are."""
    selection = Selection(visit=20_261_127_100)
    return sum(1 for _ in list_visits(log_files([folder]), selection))


def verify_all(folder: Path, events: int) -> int:
    """Verify; return how many records there are."""
    found = verify(log_files([folder]))
    return sum(file.records for file in found.files) if found.is_whole else -1


def measured(
    step: Callable[[Path, int], int], folder: Path, events: int
) -> tuple[int, float, float]:
    """Return the result of a step, its seconds, and the memory it adds [MiB]."""
    log.configure(level="error")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    result = step(folder, events)
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return result, seconds, (peak - before) / KIB


def main(numbers: list[int]) -> None:
    """Print a table for each number of events."""
    for events in numbers:
        table = Table("step", "result", "s", "added MiB", title=f"{events} events")
        with TemporaryDirectory() as name:
            for step in (record_all, list_all, list_one, verify_all):
                # a process each, so that the peak is its own
                with get_context("spawn").Pool(1) as pool:
                    result, seconds, mib = pool.apply(
                        measured, (step, Path(name), events)
                    )
                table.add_row(
                    step.__name__, str(result), f"{seconds:.2f}", f"{mib:.0f}"
                )
        Console().print(table)


if __name__ == "__main__":
    main([int(number) for number in sys.argv[1:]] or [100_000])
