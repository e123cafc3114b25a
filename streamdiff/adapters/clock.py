"""The time of this machine."""

import time


class SystemClock:
    """A `streamdiff.ports.Clock` that reads the machine's clocks."""

    def time(self) -> float:
        """Return seconds since 1970, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()
