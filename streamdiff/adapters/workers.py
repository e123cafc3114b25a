"""Executors: a pool of processes that can be killed, and one without processes.

The pool stands on `multiprocessing` alone. Each worker has a pipe of its own: one
that dies, at whatever moment, is noticed by the end of its pipe and takes nothing
with it. There is no lock or queue that workers share.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import structlog

from streamdiff.adapters.worker_process import (
    DiedStartingError,
    HandlerFactory,
    Result,
    WorkerProcess,
    perform,
    preload,
)
from streamdiff.errors import StreamError
from streamdiff.model import PreloadHint, Reason
from streamdiff.ports import Failure, Finished, Handler, WorkOrder

log = structlog.get_logger()

# Processes that are started for one place until one is ready: more than one may be
# killed for want of memory that others free a moment later.
_STARTS = 3


class InlineExecutor:
    """Does the work in the calling thread: nothing runs at the same time.

    For tests, replay and debugging; time limits do not apply.

    Parameters
    ----------
    factory : callable
        Returns the handler.
    """

    workers = 1

    def __init__(self, factory: HandlerFactory) -> None:
        self._factory = factory
        self._handler: Handler | None = None

    def start(self) -> None:
        """Build the handler."""
        self._handler = self._factory()

    def submit(self, order: WorkOrder, *, timeout_s: float) -> Future[Result]:  # noqa: ARG002 - the port's
        """Return a future that is done."""
        if self._handler is None:
            raise StreamError("the executor has not been started")
        future: Future[Result] = Future()
        result = perform(self._handler, order)
        if isinstance(result, Failure) and result.spoils_worker:
            self.start()
        for hint in _hints(result):
            preload(self._handler, hint)
        future.set_result(result)
        return future

    def abandon(self, future: Future[Result]) -> None:
        """Do nothing: the work is done."""

    def close(self) -> None:
        """Release the handler."""
        self._handler = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    """When a worker that does well is replaced: what leaks must not add up.

    Attributes
    ----------
    orders : int
        After so many; 0 for never.
    memory_mib : float
        Once it keeps more between two orders [MiB]; 0 for no limit.
    """

    orders: int = 0
    memory_mib: float = 0.0

    def is_due(self, orders: int, process: WorkerProcess) -> bool:
        """Return whether a process is to be replaced after so many orders."""
        if 0 < self.orders <= orders:
            return True
        return 0 < self.memory_mib < process.memory_mib


NEVER = Retirement()


class WorkerPool:
    """Worker processes, each with one order at a time.

    A worker that takes too long is killed; one that is dead or killed is replaced.
    Workers end with the process that started them, however that ends.

    Parameters
    ----------
    factory : callable
        Picklable; called in each worker, returns the handler, ready to work:
        what is slow for the first time belongs here.
    workers : int
        How many, 1 or more.
    start_timeout_s : float
        How long a worker may take to get ready [s].
    threads : int
        Of each worker: one, for several get in each other's way, unless workers are
        fewer than processors.
    retirement : Retirement
        When a worker is replaced, dead or not.
    """

    def __init__(
        self,
        factory: HandlerFactory,
        *,
        workers: int,
        threads: int = 1,
        start_timeout_s: float = 600.0,
        retirement: Retirement = NEVER,
    ) -> None:
        if workers < 1:
            raise ValueError(f"workers must be >= 1, got {workers}")
        self.workers = workers
        new_process = partial(WorkerProcess, factory, threads=threads)
        self._desks = [
            _Desk(new_process, start_timeout_s, retirement) for _ in range(workers)
        ]
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="worker")
        self._free: queue.SimpleQueue[_Desk] = queue.SimpleQueue()
        self._busy: dict[Future[Result], _Desk] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start all workers and return when they are ready.

        Raises
        ------
        StreamError
            If one is not ready in time, or its handler can not be built.
        """
        for desk in self._desks:
            desk.hire()
        for desk in self._desks:
            desk.wait_until_ready()
            self._free.put(desk)

    def submit(self, order: WorkOrder, *, timeout_s: float) -> Future[Result]:
        """Give an order to the next free worker."""
        future: Future[Result] = Future()
        self._threads.submit(self._run, future, order, timeout_s)
        return future

    def abandon(self, future: Future[Result]) -> None:
        """Kill the worker that is busy with this."""
        with self._lock:
            if not future.cancel() and future in self._busy:
                self._busy[future].kill()

    def close(self) -> None:
        """Kill all workers."""
        for desk in self._desks:
            desk.close()
        self._threads.shutdown(cancel_futures=True)
        for desk in self._desks:
            desk.clear()

    def _run(self, future: Future[Result], order: WorkOrder, timeout_s: float) -> None:
        with self._lock:
            if not future.set_running_or_notify_cancel():
                return
            desk = self._busy[future] = self._free.get()  # one for each thread
        try:
            result = desk.perform(order, timeout_s)
            for hint in _hints(result):
                for each in self._desks:
                    each.preload(hint)
        except Exception as error:  # noqa: BLE001 - the future tells
            self._release(future)
            future.set_exception(error)
        else:
            self._release(future)
            future.set_result(result)

    def _release(self, future: Future[Result]) -> None:
        # before the result is known: who sees it may count on a free worker
        with self._lock:
            self._free.put(self._busy.pop(future))


class _Desk:
    """A place in the pool, and the process that works there now."""

    def __init__(
        self,
        new_process: Callable[[], WorkerProcess],
        start_timeout_s: float,
        retirement: Retirement,
    ) -> None:
        self._new_process = new_process
        self._start_timeout_s = start_timeout_s
        self._retirement = retirement
        self._orders = 0
        self._process: WorkerProcess | None = None
        self._is_closed = False
        self._lock = threading.Lock()

    def hire(self) -> WorkerProcess:
        """Return the process; start one if there is none that is alive."""
        with self._lock:
            if self._is_closed:
                raise StreamError("the worker pool is closed")
            if self._process is None or not self._process.is_alive:
                self._process = self._new_process()
                self._orders = 0
            return self._process

    def wait_until_ready(self) -> None:
        """Return when the process can take orders."""
        self._ready()

    def _ready(self) -> WorkerProcess:
        """Return the process once it can take orders; one that was killed is replaced.

        Raises
        ------
        StreamError
            If none gets ready.
        """
        for _ in range(_STARTS - 1):
            try:
                return self._started()
            except DiedStartingError as err:
                log.warning("worker_start_failed", error=str(err))
        return self._started()

    def _started(self) -> WorkerProcess:
        process = self.hire()
        process.wait_until_ready(self._start_timeout_s)
        return process

    def perform(self, order: WorkOrder, timeout_s: float) -> Result:
        """Return what a process makes of an order, or how it ended."""
        process = self._ready()
        try:
            result = process.perform(order, timeout_s)
        except TimeoutError:
            process.kill()
            return self._lost(process, _late(timeout_s, process.whereabouts))
        except (EOFError, ConnectionError):
            return self._lost(process, _died(process.end(), process.whereabouts))
        self._orders += 1
        if isinstance(result, Failure) and result.spoils_worker:
            log.warning("worker_spoilt", stage=result.stage, plugin=result.plugin)
            process.kill()
            self._replace(process)
        elif self._retirement.is_due(self._orders, process):
            log.info("worker_retired", orders=self._orders)
            process.kill()
            self._replace(process)
        return result

    def preload(self, hint: PreloadHint) -> None:
        """Let the process get ready for what is announced, before its next order."""
        with self._lock:
            if self._process is not None:
                self._process.preload(hint)

    def kill(self) -> None:
        """End the process at once; from any thread."""
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """End the process at once and start no other."""
        with self._lock:
            self._is_closed = True
        self.kill()

    def clear(self) -> None:
        """Wait for the process to be gone."""
        if self._process is not None:
            self._process.end()

    def _lost(self, process: WorkerProcess, failure: Failure) -> Failure:
        log.warning("worker_lost", reason=str(failure.reason), how=failure.message)
        self._replace(process)
        return failure

    def _replace(self, process: WorkerProcess) -> None:
        process.end()
        if not self._is_closed:
            self.hire()  # starts while the pool waits for the next order


def _hints(result: Result) -> tuple[PreloadHint, ...]:
    return result.hints if isinstance(result, Finished) else ()


def _late(timeout_s: float, whereabouts: tuple[str, str]) -> Failure:
    return Failure(
        reason=Reason.TIMEOUT,
        error_class="TimeoutError",
        message=f"not finished after {timeout_s:g} s{_at(whereabouts)}; "
        "its worker was killed",
        stage=whereabouts[0],
        plugin=_name(whereabouts),
        retryable=True,
    )


def _died(ending: str, whereabouts: tuple[str, str]) -> Failure:
    return Failure(
        reason=Reason.WORKER_DIED,
        error_class="WorkerDied",
        message=f"its worker {ending}{_at(whereabouts)}",
        stage=whereabouts[0],
        plugin=_name(whereabouts),
        retryable=True,
    )


def _at(whereabouts: tuple[str, str]) -> str:
    stage, plugin = whereabouts
    return f", in {stage} plugin {plugin!r}" if stage else ""


def _name(whereabouts: tuple[str, str]) -> str:
    return whereabouts[1].partition(" ")[0]
