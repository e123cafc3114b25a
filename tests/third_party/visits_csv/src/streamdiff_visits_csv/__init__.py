"""An observer that writes a line for each visit: what became of it, how fast.

The file is ``visits.csv``, or what ``STREAMDIFF_VISITS_CSV`` names. Several workers
append to it: each line is one write.
"""

import csv
import os
from io import StringIO
from pathlib import Path

from streamdiff.hookspecs import hookimpl
from streamdiff.model import VisitProcessed, VisitReady

COLUMNS = ("event_id", "visit", "detector", "outcome", "reason", "n_alerts", "seconds")


@hookimpl
def streamdiff_visit_finished(event: VisitReady, report: VisitProcessed) -> None:
    """Write a visit that was processed or skipped."""
    _append(event, report)


@hookimpl
def streamdiff_visit_failed(event: VisitReady, report: VisitProcessed) -> None:
    """Write a visit that failed."""
    _append(event, report)


def _append(event: VisitReady, report: VisitProcessed) -> None:
    path = Path(os.environ.get("STREAMDIFF_VISITS_CSV", "visits.csv"))
    line = StringIO()
    writer = csv.writer(line, lineterminator="\n")
    if not path.exists():
        writer.writerow(COLUMNS)
    seconds = sum(report.stage_seconds.values())
    writer.writerow(
        [
            event.event_id,
            event.visit,
            event.detector,
            report.outcome,
            report.reason or "",
            report.n_alerts,
            f"{seconds:.3f}",
        ]
    )
    with path.open("a", encoding="utf-8") as file:
        file.write(line.getvalue())
