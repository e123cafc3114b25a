"""When so many events fail that the fault is not in the events."""

from collections import deque
from dataclasses import dataclass

from streamdiff.errors import DeadLetterLimitError


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterLimit:
    """How many events may fail before the process stops.

    Attributes
    ----------
    ratio : float
        Largest fraction of the last ``window`` events, in [0, 1]; 1 allows all.
    consecutive : int
        This many failures in a row are too many; 0 for no such limit.
    window : int
        The ratio is not judged before this many events were seen.
    """

    ratio: float = 0.5
    consecutive: int = 20
    window: int = 20

    def __post_init__(self) -> None:
        if not 0 <= self.ratio <= 1:
            raise ValueError(f"ratio must be in [0, 1], got {self.ratio}")
        if self.consecutive < 0 or self.window < 1:
            raise ValueError(
                f"consecutive must be >= 0 and window >= 1, "
                f"got {self.consecutive} and {self.window}"
            )


class DeadLetterCount:
    """The recent failures, judged against a limit."""

    def __init__(self, limit: DeadLetterLimit) -> None:
        self._limit = limit
        self._recent: deque[bool] = deque(maxlen=limit.window)
        self._run = 0

    def add(self, *, failed: bool) -> None:
        """Count one finished event.

        Raises
        ------
        DeadLetterLimitError
            If the limit is reached with this event.
        """
        self._recent.append(failed)
        self._run = self._run + 1 if failed else 0
        if 0 < self._limit.consecutive <= self._run:
            raise DeadLetterLimitError(
                f"{self._run} events in a row were dead-lettered; "
                f"{_ADVICE} dead_letter_limit.consecutive"
            )
        if len(self._recent) == self._limit.window and self._ratio > self._limit.ratio:
            raise DeadLetterLimitError(
                f"{self._ratio:.0%} of the last {self._limit.window} events were "
                f"dead-lettered; {_ADVICE} dead_letter_limit.ratio"
            )

    @property
    def _ratio(self) -> float:
        return sum(self._recent) / len(self._recent)


_ADVICE = "look at the dead letters for the cause, or raise"
