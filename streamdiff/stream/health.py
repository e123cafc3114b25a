"""Whether the process is alive, and ready."""

from streamdiff.ports import Clock


class Health:
    """What the runtime tells of itself, read from other threads.

    Parameters
    ----------
    clock : Clock
    max_poll_age_s : float
        The process is not alive if it has not polled for longer [s].
    """

    def __init__(self, clock: Clock, *, max_poll_age_s: float = 60.0) -> None:
        self._clock = clock
        self._max_poll_age_s = max_poll_age_s
        self._polled = clock.monotonic()
        self._ready = False

    @property
    def poll_age_s(self) -> float:
        """Return the time since the last poll [s]."""
        return self._clock.monotonic() - self._polled

    @property
    def is_alive(self) -> bool:
        """Return whether the poll thread turns; true while workers start."""
        return not self._ready or self.poll_age_s <= self._max_poll_age_s

    @property
    def is_ready(self) -> bool:
        """Return whether workers are warm and the group has been joined."""
        return self._ready

    def polled(self) -> None:
        """Note a poll, which also shows that the process is ready."""
        self._polled = self._clock.monotonic()
        self._ready = True

    def stopping(self) -> None:
        """Note that no more events are taken."""
        self._ready = False
