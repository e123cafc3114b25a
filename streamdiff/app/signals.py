"""Ending on a signal: the first one asks, the second one insists."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stopped_by_signals(
    stop: Callable[[], None], stop_now: Callable[[], None]
) -> Iterator[None]:
    """Call one function on the first SIGTERM or SIGINT, another one on the next."""
    received = []

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        received.append(number)
        if len(received) == 1:
            stop()
        else:
            stop_now()

    before = {s: signal.signal(s, handle) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
