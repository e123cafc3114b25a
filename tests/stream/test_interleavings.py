"""Whatever happens in whatever order: nothing is lost, nothing skipped or repeated."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamdiff.errors import RetryableError
from streamdiff.model import Reason
from streamdiff.ports import Failure
from streamdiff.testing.stream import FlakyProducer, FlakyTransactions, echo

VALUES = [b"%d" % i for i in range(12)]


def died(_):
    return Failure(
        reason=Reason.WORKER_DIED, error_class="E", message="died", retryable=True
    )


def failed(_):
    return Failure(reason=Reason.INTERNAL, error_class="E", message="no good")


class Disturbance:
    """What can happen between two steps of the runtime."""

    def __init__(self, bench):
        self.bench = bench
        self.errors = []
        self.rival = None
        producer = FlakyProducer(bench.transport.producer().send, self.errors)
        self.producer = lambda: producer
        self.consumer = bench.transport.consumer
        self.transactions = lambda consumer: FlakyTransactions(
            bench.transport.transactions(consumer), self.errors
        )

    def finish(self):
        self._end(echo)

    def finish_newest(self):
        self._end(echo, index=-1)

    def die(self):
        self._end(died)

    def fail(self):
        self._end(failed)

    def refuse_to_send(self):
        self.errors.append(RetryableError("down"))

    def expire(self):
        for member in list(self.bench.broker.group("g").topics):
            member.expire()

    def join(self):
        if self.rival is None:
            self.rival = self.consumer("g")
            self.rival.subscribe(["in"], on_assign=id, on_revoke=id, on_lost=id)

    def poll(self):
        if self.rival is not None:
            self.rival.poll(0)

    def leave(self):
        if self.rival is not None:
            self.rival.close()
            self.rival = None

    def nothing(self):
        pass

    def _end(self, work, index=0):
        if self.bench.executor.orders:
            self.bench.executor.finish(work, index=index)

    def assert_nothing_is_skipped(self):
        """Every record below a commit point has been answered."""
        answered = {*self.bench.values("out"), *self.bench.values("dead-letter")}
        for record in self.bench.broker.records("in"):
            if record.offset < self.bench.offset(record.partition):
                assert record.value in answered


ACTIONS = [
    name for name in vars(Disturbance) if name[0] != "_" and "assert" not in name
]


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(actions=st.lists(st.sampled_from(ACTIONS), max_size=40))
@pytest.mark.parametrize("exactly_once", [True, False])
def test_every_event_is_answered_whatever_happens(
    fresh_bench, script, until, exactly_once, actions
):
    bench = fresh_bench()
    world = Disturbance(bench)
    bench.publish(*VALUES)

    def steps():
        for action in actions:
            getattr(world, action)()
            world.assert_nothing_is_skipped()
            yield
        world.leave()
        for _ in until(lambda: runtime.is_idle and bench.metric("partitions") == 4):
            world.finish()
            bench.clock.advance(1)  # a refused commit rests a little
            world.assert_nothing_is_skipped()
            yield

    # The clock stands still: a revoked partition must not wait for a transaction that
    # is refused since its member has expired.
    runtime = bench.runtime(
        transport=world, exactly_once=exactly_once, revoke_timeout_s=0.0
    )
    runtime.run(until=script(steps))
    answers = [*bench.values("out"), *bench.values("dead-letter")]
    assert set(answers) == set(VALUES)
    assert len(answers) == len(VALUES) or not exactly_once
    ends = {r.partition: r.offset + 1 for r in bench.broker.records("in")}
    assert {p: bench.offset(p) for p in ends} == ends
