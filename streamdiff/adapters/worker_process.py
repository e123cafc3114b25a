"""One worker process: both ends of its pipe."""

import ctypes
import multiprocessing
import os
import pickle
import resource
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import scipy.fft
import structlog

from streamdiff.errors import StreamError
from streamdiff.model import PreloadHint
from streamdiff.ports import (
    Failure,
    Finished,
    Handler,
    Preloader,
    WorkOrder,
    whereabouts,
)

log = structlog.get_logger()

Result = Finished | Failure
HandlerFactory = Callable[[], Handler]

# Where they are not set, a process has as many threads as are asked for.
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
# The C library keeps the memory of planes for the next ones: to give it back, and get
# it again page by page, takes a sixth of the time of a visit of 4096 px. A process that
# has waited for so long may take that time.
IDLE_S = 10.0
_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 35)}
_EXIT_WAIT_S = 5.0
_NOTE_BYTES = 256
# Hints that a process has not come to yet; more would be too late anyway.
_MAX_HINTS = 8
_MIB = 1 << 20


def worker_environment(threads: int) -> dict[str, str]:
    """Return the variables of a worker process, for where they are not set."""
    return dict.fromkeys(_THREADS, str(threads)) | _MEMORY


def perform(handler: Handler, order: WorkOrder) -> Result:
    """Return what a handler makes of an order; an error becomes a failure.

    What is logged meanwhile tells which record it is about.
    """
    record = order.record
    with structlog.contextvars.bound_contextvars(
        topic=record.topic,
        partition=record.partition,
        stream_offset=record.offset,
        attempt=order.attempt,
    ):
        try:
            return handler(order)
        except Exception as error:  # noqa: BLE001 - the border of a handler
            return Failure.of(error)


def preload(handler: Handler, hint: PreloadHint) -> None:
    """Let a handler get ready for what is announced; to fail at that is no failure."""
    if not isinstance(handler, Preloader):
        return
    try:
        handler.preload(hint)
    except Exception as error:  # noqa: BLE001 - the visit will tell, if it matters
        log.warning("preload_failed", hint=str(hint), error=str(error))


class DiedStartingError(StreamError):
    """A worker process was ended before it was ready, and not by its owner."""


class WorkerProcess:
    """A process with a handler, seen from the one that started it.

    Parameters
    ----------
    factory : callable
        Picklable; called in the process, returns the handler.
    threads : int
        Of linear algebra and of transforms.
    """

    def __init__(self, factory: HandlerFactory, *, threads: int = 1) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        # Memory that both see: it tells where a process was that tells nothing more.
        self._note = context.Array("c", _NOTE_BYTES, lock=False)
        self._process = context.Process(
            target=_serve,
            args=(theirs, factory, self._note, threads),
            name="worker",
            daemon=True,
        )
        with _environment(worker_environment(threads)):
            self._process.start()
        theirs.close()  # else the end of the process would not end the pipe
        self._is_ready = False
        self._is_wanted = True
        self._n_hints = 0
        self._sending = threading.Lock()

    @property
    def is_alive(self) -> bool:
        """Return whether the process runs."""
        return self._process.is_alive()

    def wait_until_ready(self, timeout_s: float) -> None:
        """Return when the handler has been built.

        Raises
        ------
        StreamError
            If it can not be built, or not in time.
        DiedStartingError
            If something else ended the process; another may fare better.
        """
        if self._is_ready:
            return
        try:
            problem = self._receive(timeout_s)  # None: it is ready
        except TimeoutError as err:
            raise StreamError(
                f"a worker was not ready after {timeout_s:g} s: is the machine busy? "
                "Code is compiled at the first start, and kept for the next one"
            ) from err
        except (EOFError, ConnectionError) as err:
            error = DiedStartingError if self._is_wanted else StreamError
            raise error(f"a worker {self.end()} while it started") from err
        if isinstance(problem, Failure):
            log.error("worker_start_failed", traceback=problem.traceback)
            raise StreamError(
                f"a worker can not start: {problem.error_class}: {problem.message}"
            )
        self._is_ready = True

    def perform(self, order: WorkOrder, timeout_s: float) -> Result:
        """Return what the handler makes of an order.

        Raises
        ------
        TimeoutError
            If it takes too long.
        EOFError, ConnectionError
            If the process ends.
        """
        with self._sending:
            n_ahead = self._n_hints
            self._pipe.send(order)
        result = cast("Result", self._receive(timeout_s))
        with self._sending:
            self._n_hints -= n_ahead
        return result

    def preload(self, hint: PreloadHint) -> None:
        """Pass a hint on, for before the next order; from any thread.

        One that the process does not get is no loss.
        """
        with self._sending, suppress(OSError):
            if self._n_hints < _MAX_HINTS:
                self._pipe.send(hint)
                self._n_hints += 1

    @property
    def whereabouts(self) -> tuple[str, str]:
        """Return the stage and the plugin that the process is at; empty for none."""
        stage, _, plugin = self._note.value.decode(errors="replace").partition("\n")
        return stage, plugin

    @property
    def memory_mib(self) -> float:
        """Return the memory that the process keeps [MiB]; 0 if that is not known."""
        try:
            pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return 0.0
        return int(pages) * resource.getpagesize() / _MIB

    def kill(self) -> None:
        """End the process at once; from any thread."""
        self._is_wanted = False
        self._process.kill()

    def end(self) -> str:
        """End the process, and return how it ended by itself, if it did."""
        self._process.join(_EXIT_WAIT_S)
        self._process.kill()
        self._process.join(_EXIT_WAIT_S)
        self._pipe.close()
        return _ending(self._process.exitcode)

    def _receive(self, timeout_s: float) -> object:
        if not self._pipe.poll(timeout_s):
            raise TimeoutError
        return self._pipe.recv()


def _ending(code: int | None) -> str:
    if code is None or code >= 0:
        return f"ended with exit code {code}"
    hint = " (out of memory?)" if -code == signal.SIGKILL else ""
    return f"was ended by {signal.Signals(-code).name}{hint}"


_environment_lock = threading.Lock()


@contextmanager
def _environment(defaults: Mapping[str, str]) -> Iterator[None]:
    """Set variables that are not set, for processes started meanwhile."""
    with _environment_lock:
        added = [name for name in defaults if name not in os.environ]
        os.environ.update({name: defaults[name] for name in added})
        try:
            yield
        finally:
            for name in added:
                del os.environ[name]


def _serve(
    pipe: Connection,
    factory: HandlerFactory,
    note: Any,  # noqa: ANN401 - of ctypes
    threads: int,
) -> None:
    """Run in the process: build the handler, then take orders until the pipe ends."""
    # whoever stops the service decides when its workers end
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    whereabouts.set(partial(_write, note))
    try:
        handler = factory()
    except Exception as error:  # noqa: BLE001 - told to the parent
        pipe.send(Failure.of(error))
        return
    pipe.send(None)
    with scipy.fft.set_workers(threads):
        while True:
            try:
                received = next_of(pipe)
            except EOFError:
                return
            if isinstance(received, PreloadHint):
                preload(handler, received)
            else:
                _answer(pipe, perform(handler, received))


def next_of(pipe: Connection) -> Any:  # noqa: ANN401 - what the parent sends
    """Return what comes next; a process that waits long for it needs no memory.

    Raises
    ------
    EOFError
        If the parent has closed its end.
    """
    if not pipe.poll(IDLE_S):
        give_back_memory()
    return pipe.recv()


def give_back_memory() -> None:
    """Give back what the C library keeps for the next visit, where it can."""
    with suppress(AttributeError):  # another library than glibc
        ctypes.CDLL(None).malloc_trim(0)


def _answer(pipe: Connection, result: Result) -> None:
    try:
        pipe.send(result)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        pipe.send(Failure.of(error))


def _write(note: Any, stage: str, plugin: str) -> None:  # noqa: ANN401 - of ctypes
    """Write down where the work is, for the parent."""
    note.value = f"{stage}\n{plugin}".encode()[: _NOTE_BYTES - 1] if stage else b""


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
