"""Events of a partition that were answered lately, so that none is worked on twice."""

from collections.abc import Iterable

# Enough for a producer that sends again what it was not sure of; with every order
# to a worker go some kilobytes.
N_REMEMBERED = 256


class RecentEvents:
    """Ids of the events of one partition that were processed last.

    They are forgotten with the partition: an event that comes to its next owner was
    perhaps never answered, and that one must not skip it.
    """

    def __init__(self, n_remembered: int = N_REMEMBERED) -> None:
        self._n_remembered = n_remembered
        self._ids: dict[str, None] = {}

    @property
    def ids(self) -> frozenset[str]:
        """Return the ids."""
        return frozenset(self._ids)

    def add(self, ids: Iterable[str]) -> None:
        """Remember events whose answers were sent."""
        for event_id in ids:
            self._ids.pop(event_id, None)
            self._ids[event_id] = None
        while len(self._ids) > self._n_remembered:
            del self._ids[next(iter(self._ids))]
