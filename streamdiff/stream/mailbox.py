"""How other threads reach the poll thread."""

import queue
from collections.abc import Callable


class Mailbox:
    """Calls that other threads leave for the poll thread to make.

    All state of the runtime is touched by the poll thread alone, so nothing in
    it needs a lock.
    """

    # No `SimpleQueue`: that of CPython 3.11 waits for ever where a thread that finds it
    # unlocked and empty is held up for longer than its timeout.
    def __init__(self) -> None:
        self._calls: queue.Queue[Callable[[], None]] = queue.Queue()

    def post(self, call: Callable[[], None]) -> None:
        """Leave a call; from any thread."""
        self._calls.put(call)

    def deliver(self) -> None:
        """Make all calls that are there."""
        while not self._calls.empty():
            self._calls.get_nowait()()

    def wait(self, timeout_s: float) -> None:
        """Make the next call, waiting for it no longer than a time."""
        try:
            call = self._calls.get(timeout=timeout_s)
        except queue.Empty:
            return
        call()
