"""What the operator decides about the runtime."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamdiff.stream.limits import DeadLetterLimit
from streamdiff.stream.retry import Backoff


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSettings:
    """Settings of a `Runtime`.

    Attributes
    ----------
    topics : mapping of str to float
        The topics to consume, and how long one of their events may take [s].
    group : str
        Consumer group.
    exactly_once : bool
        Whether results and offset are sent in one transaction.
    max_attempts : int
        Tries before an event is given up, 1 or more.
    drain_timeout_s : float
        Time to finish running work when asked to stop [s].
    revoke_timeout_s : float
        Time to send finished work of a partition that is taken away [s].
    poll_timeout_s : float
        Longest wait for the next record or result [s].
    dead_letter_limit : DeadLetterLimit
    work_backoff, send_backoff : Backoff
        Between the tries of an event, and of sending its results.
    """

    topics: Mapping[str, float]
    group: str
    exactly_once: bool = False
    max_attempts: int = 3
    drain_timeout_s: float = 60.0
    revoke_timeout_s: float = 10.0
    poll_timeout_s: float = 0.05
    dead_letter_limit: DeadLetterLimit = field(default_factory=DeadLetterLimit)
    work_backoff: Backoff = field(default_factory=Backoff)
    send_backoff: Backoff = field(
        default_factory=lambda: Backoff(first_s=0.5, longest_s=30.0)
    )

    def __post_init__(self) -> None:
        if not self.topics or any(seconds <= 0 for seconds in self.topics.values()):
            raise ValueError(
                f"topics need a time limit > 0 each, got {dict(self.topics)}"
            )
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts must be >= 1, got {self.max_attempts}")
