"""What a call does to the process beside returning something.

A plugin shares its process with all others: what it prints, and what it leaves
changed of the state that they share, is noticed, put back where that is possible,
and told.
"""

import gc
import logging
import os
import random
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import TextIOBase
from typing import Any, TextIO

import numpy as np
import structlog

# So much of what was printed is told.
_MOST_CHARACTERS = 80


@dataclass(slots=True)
class SideEffects:
    """What calls did beside returning something.

    Attributes
    ----------
    found : list of str
        Each as a predicate: "changed the warning filters".
    """

    found: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Shared:
    """A part of the state of the process.

    Attributes
    ----------
    name : str
    read : callable
        Returns the state; comparing two of them tells a change.
    restore : callable
        Brings back what ``read`` returned.
    """

    name: str
    read: Callable[[], Any]
    restore: Callable[[Any], object]


@contextmanager
def watch(effects: SideEffects) -> Iterator[None]:
    """Note what is printed and changed meanwhile, and put the state back.

    Threads that were started can not be stopped, only told.

    Notes
    -----
    Some 0.1 ms on one core. What other threads change at the same time is taken
    for a change of this one; workers have no other threads.
    """
    threads = set(threading.enumerate())
    before = [part.read() for part in _SHARED]
    out = _Listener(sys.stdout)
    sys.stdout = out
    try:
        yield
    finally:
        if sys.stdout is out:
            sys.stdout = out.real
        else:
            effects.found.append("replaced sys.stdout")
            sys.stdout = out.real
        if out.heard:
            effects.found.append(f"printed {out.heard[:_MOST_CHARACTERS]!r}")
        for part, was in zip(_SHARED, before, strict=True):
            if part.read() != was:
                effects.found.append(f"changed {part.name}")
                part.restore(was)
        if left := [t.name for t in threading.enumerate() if t not in threads]:
            effects.found.append(f"left threads running: {', '.join(sorted(left))}")


class _Listener(TextIOBase):
    """Takes what one thread prints; others print as ever."""

    def __init__(self, real: TextIO) -> None:
        self.real = real
        self.heard = ""
        self._thread = threading.get_ident()

    def write(self, text: str) -> int:
        if threading.get_ident() != self._thread:
            return self.real.write(text)
        if len(self.heard) <= _MOST_CHARACTERS:
            self.heard += text
        return len(text)

    def flush(self) -> None:
        self.real.flush()

    def fileno(self) -> int:
        return self.real.fileno()


def _numpy_seed() -> tuple[Any, ...]:
    name, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002
    return name, np.asarray(keys).tobytes(), *rest


def _seed_numpy(state: tuple[Any, ...]) -> None:
    name, keys, *rest = state
    np.random.set_state((name, np.frombuffer(keys, np.uint32), *rest))  # noqa: NPY002


def _filter_warnings(filters: list[Any]) -> None:
    warnings.resetwarnings()
    warnings.filters.extend(filters)  # type: ignore[attr-defined]


def _environment(variables: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)


def _print_errors_to(stream: TextIO) -> None:
    sys.stderr = stream


def _import_from(folders: list[str]) -> None:
    sys.path[:] = folders


_SIGNALS = tuple(sorted(signal.valid_signals()))


def _signal_handlers() -> tuple[Any, ...]:
    return tuple(signal.getsignal(number) for number in _SIGNALS)


def _handle_signals(handlers: tuple[Any, ...]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number, handler in zip(_SIGNALS, handlers, strict=True):
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


def _logging() -> tuple[Any, ...]:
    root = logging.getLogger()
    return root.level, tuple(root.handlers), logging.root.manager.disable


def _configure_logging(state: tuple[Any, ...]) -> None:
    level, handlers, disabled = state
    root = logging.getLogger()
    root.setLevel(level)
    root.handlers[:] = handlers
    logging.disable(disabled)


_SHARED = (
    _Shared("the warning filters", lambda: list(warnings.filters), _filter_warnings),
    _Shared("numpy's error state", np.geterr, lambda state: np.seterr(**state)),
    _Shared("numpy's global random numbers", _numpy_seed, _seed_numpy),
    _Shared("Python's global random numbers", random.getstate, random.setstate),
    _Shared("the signal handlers", _signal_handlers, _handle_signals),
    _Shared("the environment", lambda: dict(os.environ), _environment),
    _Shared("the working directory", os.getcwd, os.chdir),
    _Shared("the logging of the process", _logging, _configure_logging),
    _Shared(
        "structlog's configuration",
        structlog.get_config,
        lambda config: structlog.configure(**config),
    ),
    _Shared("sys.stderr", lambda: sys.stderr, _print_errors_to),
    _Shared("the module path", lambda: list(sys.path), _import_from),
    _Shared("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    _Shared(
        "the garbage collector",
        gc.isenabled,
        lambda was: gc.enable() if was else gc.disable(),
    ),
    _Shared(
        "the time-out of sockets", socket.getdefaulttimeout, socket.setdefaulttimeout
    ),
)
