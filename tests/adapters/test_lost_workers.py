"""A plugin that takes a worker along is named; one that spoils it costs the worker."""

import importlib
import sys
from pathlib import Path

import pytest

from streamdiff.adapters.workers import InlineExecutor, WorkerPool
from streamdiff.model import Reason
from streamdiff.ports import ConsumedRecord, Failure, Finished, WorkOrder

FOLDER = Path(__file__).parents[1] / "third_party" / "bad_subtractors"
LONG_S = 60.0


@pytest.fixture(scope="module")
def make_handler():
    """Return the factory of a handler that runs the subtractor that it is told."""
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module("bad_subtractors").make_handler
    sys.path.remove(str(FOLDER))
    sys.modules.pop("bad_subtractors")


@pytest.fixture(scope="module")
def pool(make_handler):
    pool = WorkerPool(make_handler, workers=1)
    pool.start()
    yield pool
    pool.close()


def ask(executor, name, timeout_s=LONG_S):
    record = ConsumedRecord(
        topic="in", partition=0, offset=7, key=b"k", value=name.encode()
    )
    order = WorkOrder(record=record, attempt=1)
    return executor.submit(order, timeout_s=timeout_s).result(LONG_S)


@pytest.mark.parametrize(
    ("name", "timeout_s", "reason", "message"),
    [
        ("Hangs", 1.0, Reason.TIMEOUT, "not finished after 1 s, in "),
        ("EndsItsProcess", LONG_S, Reason.WORKER_DIED, "ended with exit code 3, in "),
    ],
)
def test_a_plugin_that_a_worker_is_lost_with_is_named(
    pool, name, timeout_s, reason, message
):
    failure = ask(pool, name, timeout_s)
    assert failure.reason is reason
    assert f"{message}subtract plugin 'bad bad-subtractors 1.2'" in failure.message
    assert (failure.stage, failure.plugin) == ("subtract", "bad")
    assert isinstance(ask(pool, "Good"), Finished)


def test_a_worker_whose_inputs_were_changed_is_replaced(pool):
    before = ask(pool, "Good").log["pid"]
    assert ask(pool, "Good").log["pid"] == before
    failure = ask(pool, "WritesThroughPlane")
    assert failure.reason is Reason.PLUGIN_CONTRACT
    assert ask(pool, "Good").log["pid"] != before


def test_without_processes_the_handler_is_made_anew(make_handler):
    made = []
    executor = InlineExecutor(lambda: made.append(1) or make_handler())
    executor.start()
    assert isinstance(ask(executor, "WritesThroughPlane"), Failure)
    assert isinstance(ask(executor, "Good"), Finished)
    assert len(made) == 2
