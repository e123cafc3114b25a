import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streamdiff.adapters.workers import InlineExecutor, Retirement, WorkerPool
from streamdiff.errors import StoreUnavailableError, StreamError
from streamdiff.model import Reason
from streamdiff.ports import ConsumedRecord, Failure, Finished, WorkOrder
from streamdiff.testing.stream import (
    HINT,
    DyingFactory,
    fail_to_make_handler,
    make_echo_handler,
    make_environment_handler,
    make_process_handler,
)

LONG_S = 60.0


def order(value, attempt=1):
    record = ConsumedRecord(topic="in", partition=0, offset=7, key=b"k", value=value)
    return WorkOrder(record=record, attempt=attempt)


@pytest.fixture(scope="module")
def pool():
    pool = WorkerPool(make_echo_handler, workers=1)
    pool.start()
    yield pool
    pool.close()


def ask(pool, value, timeout_s=LONG_S, attempt=1):
    return pool.submit(order(value, attempt), timeout_s=timeout_s).result(LONG_S)


def test_a_worker_returns_what_the_handler_makes(pool):
    finished = ask(pool, b"hello")
    assert isinstance(finished, Finished)
    assert finished.records[0].value == b"hello"


def test_hints_reach_every_worker_before_its_next_order_and_never_too_many():
    pool = WorkerPool(make_echo_handler, workers=2)
    pool.start()
    try:
        assert ask(pool, b"hint 3") == Finished(hints=(HINT,) * 3)
        # The free workers take turns. That a hint can not be followed harms nobody.
        assert [ask(pool, b"hints").log["hints"] for _ in range(2)] == [3, 3]
        ask(pool, b"hint 50")
        assert {ask(pool, b"hints").log["hints"] for _ in range(2)} == {3 + 8}
    finally:
        pool.close()


def test_hints_reach_a_handler_without_processes():
    executor = InlineExecutor(make_echo_handler)
    executor.start()
    assert isinstance(ask(executor, b"hint 2"), Finished)
    assert ask(executor, b"hints").log["hints"] == 2


def test_an_error_of_the_handler_comes_back_as_text(pool):
    failure = ask(pool, b"fail")
    assert (failure.error_class, failure.message) == ("ValueError", "no good")
    assert "raise ValueError" in failure.traceback
    assert not failure.retryable


def test_a_retryable_error_stays_retryable(pool):
    assert ask(pool, b"retry").retryable


def test_the_handler_sees_the_attempt(pool):
    assert isinstance(ask(pool, b"late", attempt=3), Finished)


def test_a_worker_that_takes_too_long_is_killed_and_replaced(pool):
    failure = ask(pool, b"hang", timeout_s=0.2)
    assert failure.reason is Reason.TIMEOUT
    assert failure.retryable
    assert isinstance(ask(pool, b"next"), Finished)


def test_a_worker_that_dies_is_noticed_and_replaced(pool):
    failure = ask(pool, b"die")
    assert failure.reason is Reason.WORKER_DIED
    assert failure.retryable
    assert "exit code 3" in failure.message
    assert isinstance(ask(pool, b"next"), Finished)


@pytest.mark.parametrize(
    ("retirement", "workers"),
    [
        (Retirement(orders=2), 3),
        (Retirement(memory_mib=1), 5),
        (Retirement(orders=100, memory_mib=1e6), 1),
    ],
)
def test_a_worker_is_replaced_when_it_is_due(retirement, workers):
    pool = WorkerPool(make_process_handler, workers=1, retirement=retirement)
    pool.start()
    try:
        answers = [ask(pool, b"who") for _ in range(5)]
    finally:
        pool.close()
    assert len({answer.log["pid"] for answer in answers}) == workers


def test_abandoned_work_frees_its_worker(pool):
    future = pool.submit(order(b"hang"), timeout_s=LONG_S)
    while not future.running():
        time.sleep(0.001)
    pool.abandon(future)
    assert isinstance(ask(pool, b"next"), Finished)


def test_work_that_has_not_begun_is_dropped_when_abandoned(pool):
    running = pool.submit(order(b"hang"), timeout_s=0.5)
    waiting = pool.submit(order(b"die"), timeout_s=LONG_S)
    pool.abandon(waiting)
    assert waiting.cancelled()
    assert running.result(LONG_S).reason is Reason.TIMEOUT


def test_a_result_that_can_not_be_pickled_is_a_failure(pool):
    failure = ask(pool, b"unpicklable")
    assert failure.reason is Reason.INTERNAL
    assert isinstance(ask(pool, b"next"), Finished)


def test_a_handler_that_can_not_be_built_is_an_error_at_start():
    pool = WorkerPool(fail_to_make_handler, workers=1)
    try:
        with pytest.raises(StreamError, match="ValueError: no such plugin"):
            pool.start()
    finally:
        pool.close()


def test_a_worker_that_is_killed_while_it_starts_is_replaced(tmp_path):
    pool = WorkerPool(DyingFactory(tmp_path, deaths=1), workers=1)
    try:
        pool.start()
        assert isinstance(ask(pool, b"hello"), Finished)
    finally:
        pool.close()
    assert len(list(tmp_path.iterdir())) == 1


def test_workers_that_all_die_at_the_start_are_an_error(tmp_path):
    pool = WorkerPool(DyingFactory(tmp_path, deaths=9), workers=1)
    try:
        with pytest.raises(StreamError, match=r"ended by SIGKILL .* while it started"):
            pool.start()
    finally:
        pool.close()
    assert len(list(tmp_path.iterdir())) == 3


def test_close_does_not_wait_for_running_work():
    pool = WorkerPool(make_echo_handler, workers=1)
    pool.start()
    future = pool.submit(order(b"hang"), timeout_s=3600)
    while not future.running():
        time.sleep(0.001)
    pool.close()
    assert future.done()


def run_python(*arguments):
    return subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, *arguments], capture_output=True, text=True, check=False
    )


PARENT = """
import os
from streamdiff.adapters.workers import WorkerPool
from streamdiff.testing.stream import make_echo_handler

if __name__ == "__main__":
    pool = WorkerPool(make_echo_handler, workers=1)
    pool.start()
    print(pool._desks[0].hire()._process.pid, flush=True)
    os.kill(os.getpid(), 9)
"""


def test_workers_end_with_a_killed_parent(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = run_python(script)
    worker = int(parent.stdout)
    for _ in range(1000):
        if not is_running(worker):
            return
        time.sleep(0.01)
    pytest.fail("the worker outlives its parent")


def is_running(pid):
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_workers_do_not_load_kafka():
    code = (
        "import sys, streamdiff.adapters.worker_process; "
        "sys.exit('confluent_kafka' in sys.modules)"
    )
    assert run_python("-c", code).returncode == 0


@pytest.mark.parametrize("threads", [1, 3])
def test_workers_have_threads_of_their_own(monkeypatch, threads):
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    pool = WorkerPool(make_environment_handler, workers=1, threads=threads)
    pool.start()
    try:
        log = ask(pool, b"MKL_NUM_THREADS").log
        assert log == {"value": str(threads), "fft": threads}
    finally:
        pool.close()
    assert "MKL_NUM_THREADS" not in os.environ


def test_inline_executor_returns_a_failure_for_an_error():
    executor = InlineExecutor(make_echo_handler)
    executor.start()
    result = executor.submit(order(b"fail"), timeout_s=1).result()
    assert isinstance(result, Failure)


def test_inline_executor_must_be_started():
    with pytest.raises(StreamError, match="has not been started"):
        InlineExecutor(make_echo_handler).submit(order(b"a"), timeout_s=1)


def test_orders_and_failures_cross_processes_unchanged():
    failure = Failure.of(StoreUnavailableError("s3 is away"))
    assert failure.reason is Reason.STORE_UNAVAILABLE
    assert pickle.loads(pickle.dumps(failure)) == failure  # noqa: S301 - our own
    assert pickle.loads(pickle.dumps(order(b"a"))) == order(b"a")  # noqa: S301
