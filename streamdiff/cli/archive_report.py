"""The report on a night in a few lines."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamdiff.app.night.summary import Summary

_MOST_LISTED = 10


def night_lines(night: "Summary") -> Iterator[str]:
    """Yield what a night comes to."""
    yield (
        f"{night.n_visits} visits, {night.n_images} detector images, "
        f"{night.n_alerts} alerts; {night.n_waiting} events without a report"
    )
    for outcome, reason, n in night.outcomes:
        yield f"  {n:6} {outcome} {reason}".rstrip()
    latency = night.since_event
    if latency.n:
        yield (
            f"From event to report: {latency.p50:.1f} s, of a tenth more than "
            f"{latency.p90:.1f} s"
        )
    for band, (found, n) in night.injected.items():
        yield f"Injected sources in {band}: {found} of {n} found ({found / n:.1%})"
    for metric, spreads in night.figures.items():
        for spread in spreads:
            odd = f", {spread.n_odd} beyond what is expected" if spread.n_odd else ""
            yield (
                f"{metric} in {spread.band}: {spread.p50:.4g} "
                f"({spread.p10:.4g} to {spread.p90:.4g}){odd}"
            )
    for odd_visit in night.odd[:_MOST_LISTED]:
        where = f"visit {odd_visit.visit}, detector {odd_visit.detector}"
        yield f"To look at: {where}: {', '.join(odd_visit.why)}"
    if len(night.odd) > _MOST_LISTED:
        yield f"To look at: {len(night.odd) - _MOST_LISTED} more"
    for row in night.letters:
        at = f" at {row.stage}" if row.stage else ""
        yield f"Dead letters: {row.n} {row.reason}{at}, such as {row.place}"
