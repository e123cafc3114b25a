"""How long to wait before another try."""

from dataclasses import dataclass, field
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential back-off with full jitter.

    The wait before try n + 1 is uniform in ``[0, min(longest_s, first_s * 2**(n-1))]``:
    full jitter spreads the tries of many workers that a fault hit together.

    Attributes
    ----------
    first_s, longest_s : float
        Bounds of the wait after the first try, and after any [s].
    random : random.Random
        Source of the jitter.
    """

    first_s: float = 1.0
    longest_s: float = 60.0
    random: Random = field(default_factory=Random)

    def delay_s(self, attempt: int) -> float:
        """Return how long to wait after a try that failed, 1 for the first [s]."""
        # 2**64 s is longer than any limit, and still a float
        bound = self.first_s * 2.0 ** min(attempt - 1, 64)
        return self.random.uniform(0, min(bound, self.longest_s))
