"""How well the alerts of a visit tell what truly changed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from streamdiff.testing import TrueChange

# An alert belongs to a change within this distance [pixel]: 2 widths of the worst
# position error, 0.5 px at S/N 5 in bad seeing, and the PSFs of blended pairs.
MATCH_RADIUS = 3.0
SNR_BINS = ((5.0, 7.0), (7.0, 10.0), (10.0, 20.0), (20.0, np.inf))


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitScore:
    """The alerts of one visit against the truth.

    Attributes
    ----------
    visit : int
    changes : tuple of TrueChange
        All that differ from the static sky.
    found : tuple of bool
        Whether each has an alert.
    false_ids : tuple of int
        DiaSources that belong to no change.
    n_alerts : int
    latency_s : float
        From the event's publication to its report [s].
    """

    visit: int
    changes: tuple[TrueChange, ...]
    found: tuple[bool, ...]
    false_ids: tuple[int, ...]
    n_alerts: int
    latency_s: float


def score_visit(
    visit: int,
    changes: Sequence[TrueChange],
    alerts: Sequence[Mapping[str, Any]],
    latency_s: float,
) -> VisitScore:
    """Return the score of one visit.

    Parameters
    ----------
    visit : int
    changes : sequence of TrueChange
    alerts : sequence of mapping
        Alerts as their Avro record has them.
    latency_s : float
    """
    sources = [alert["diaSource"] for alert in alerts]
    seen = np.array([(s["x"], s["y"]) for s in sources]).reshape(-1, 2)
    true = np.array([(c.x, c.y) for c in changes]).reshape(-1, 2)
    is_false = _distance(seen, true) > MATCH_RADIUS
    return VisitScore(
        visit=visit,
        changes=tuple(changes),
        found=tuple((_distance(true, seen) <= MATCH_RADIUS).tolist()),
        false_ids=tuple(
            s["diaSourceId"]
            for s, wrong in zip(sources, is_false, strict=True)
            if wrong
        ),
        n_alerts=len(alerts),
        latency_s=latency_s,
    )


def completeness(
    scores: Iterable[VisitScore], low: float, high: float = np.inf
) -> tuple[int, int]:
    """Return (found, all) of the changes with an ideal S/N in [low, high)."""
    hits = [
        hit
        for score in scores
        for change, hit in zip(score.changes, score.found, strict=True)
        if low <= abs(change.ideal_snr) < high
    ]
    return sum(hits), len(hits)


def _distance(
    points: NDArray[np.float64], others: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the distance of each point to the nearest of the others."""
    if not len(others):
        return np.full(len(points), np.inf)
    if not len(points):
        return np.zeros(0)
    return np.asarray(KDTree(others).query(points)[0])
