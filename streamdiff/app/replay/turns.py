"""Visits in the order of time, though they end in any."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator

from streamdiff.model import ExposureId, VisitReady


def in_time(event: VisitReady) -> tuple[float, int, int, str, str]:
    """Return the place of a visit: by time, then as diaSourceIds go."""
    return (
        event.midpoint_mjd_tai,
        event.visit,
        event.detector,
        event.instrument,
        event.event_id,
    )


class Turns:
    """Gives each exposure its turn once all that are earlier have had theirs.

    One that was announced several times has one turn, when all of that has ended.

    Parameters
    ----------
    events : iterable of VisitReady
        All that will end.
    """

    def __init__(self, events: Iterable[VisitReady]) -> None:
        exposures = [event.exposure_id for event in sorted(events, key=in_time)]
        self._left = Counter(exposures)
        self._order = deque(dict.fromkeys(exposures))
        self._processed: dict[ExposureId, VisitReady] = {}

    def __len__(self) -> int:
        """Return how many turns there are still to come."""
        return len(self._order)

    def ended(self, event: VisitReady, *, processed: bool) -> Iterator[VisitReady]:
        """Yield what has its turn now that one more event has ended.

        Those that nothing was found for have none.
        """
        exposure = event.exposure_id
        self._left[exposure] -= 1
        if processed:
            earlier = self._processed.get(exposure, event)
            self._processed[exposure] = max(earlier, event, key=in_time)
        while self._order and not self._left[self._order[0]]:
            first = self._order.popleft()
            if first in self._processed:
                yield self._processed.pop(first)
