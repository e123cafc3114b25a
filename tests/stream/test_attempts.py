"""What becomes of work that fails."""

import pytest

from streamdiff.errors import DeadLetterLimitError
from streamdiff.model import Reason
from streamdiff.ports import CommitPoint, Failure, TopicPartition
from streamdiff.stream.limits import DeadLetterLimit
from streamdiff.stream.retry import Backoff
from streamdiff.testing.stream import ManualExecutor, echo


def died(_):
    return Failure(
        reason=Reason.WORKER_DIED, error_class="E", message="died", retryable=True
    )


def test_a_passing_fault_is_tried_again(bench):
    bench.publish(b"late a")
    bench.runtime(bench.inline()).run_until_idle()
    assert bench.values() == [b"late a"]
    assert bench.metric("retries_total", topic="in", reason="internal") == 2


def test_back_off_lets_another_partition_go_first(bench, script, until):
    bench.publish(b"bad", partition=0)
    bench.publish(b"good", partition=1)
    bench.executor.workers = 1

    def steps():
        yield from until(lambda: bench.executor.orders)
        bench.executor.finish(died)
        yield from until(lambda: bench.executor.orders)
        assert bench.executor.finish(echo).record.value == b"good"
        yield from until(lambda: bench.values() == [b"good"])
        assert not bench.executor.orders
        bench.clock.advance(100)
        yield from until(lambda: bench.executor.orders)
        assert bench.executor.finish(echo).attempt == 2
        yield from until(lambda: len(bench.values()) == 2)

    class Longest:
        def uniform(self, low, high):
            return high

    slow = Backoff(first_s=50, random=Longest())
    bench.runtime(work_backoff=slow).run(until=script(steps))


def test_a_poison_record_is_dead_lettered_and_the_next_processed(bench):
    bench.publish(b"retry", b"good", partition=0)
    bench.runtime(bench.inline(), max_attempts=3).run_until_idle()
    (letter,) = bench.broker.records("dead-letter")
    assert letter.value == b"retry"
    assert bench.header(letter, "attempts") == "3"
    assert bench.values() == [b"good"]
    assert bench.offset(0) == 2


def test_an_error_that_is_not_retryable_is_dead_lettered_at_once(bench):
    bench.publish(b"fail")
    bench.runtime(bench.inline()).run_until_idle()
    (letter,) = bench.broker.records("dead-letter")
    assert bench.header(letter, "attempts") == "1"
    assert bench.header(letter, "reason") == "internal"


def test_a_record_that_ended_the_process_too_often_is_not_dispatched(bench):
    bench.publish(b"poison", b"good", partition=0)
    consumer = bench.transport.consumer("g")
    consumer.subscribe(["in"], on_assign=id, on_revoke=id, on_lost=id)
    consumer.poll(0)
    consumer.commit({TopicPartition("in", 0): CommitPoint(0, '{"attempt": 3}')})
    consumer.close()

    bench.runtime(bench.inline(), max_attempts=3).run_until_idle()
    (letter,) = bench.broker.records("dead-letter")
    assert bench.header(letter, "reason") == "worker_died"
    assert bench.values() == [b"good"]


def test_attempts_survive_the_end_of_the_process(bench, script, until):
    bench.publish(b"a", partition=0)
    dead = ManualExecutor()

    def crash():
        yield from until(lambda: dead.orders)
        raise KeyboardInterrupt

    # without the tidy end of a session: as if the process had been killed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamdiff.stream.session.Session.leave", lambda _: None)
        with pytest.raises(KeyboardInterrupt):
            bench.runtime(dead).run(until=script(crash))
    for member in list(bench.broker.group("g").topics):
        member.expire()

    def steps():
        yield from until(lambda: bench.executor.orders)
        assert bench.executor.finish(echo).attempt == 2
        yield from until(lambda: bench.values() == [b"a"])

    bench.runtime().run(until=script(steps))


def test_too_many_dead_letters_stop_the_process(bench):
    bench.publish(*[b"fail"] * 10, partition=0)
    limit = DeadLetterLimit(ratio=1, consecutive=4)
    with pytest.raises(DeadLetterLimitError, match="4 events in a row"):
        bench.runtime(bench.inline(), dead_letter_limit=limit).run_until_idle()
    assert len(bench.values("dead-letter")) == 4
    assert bench.offset(0) == 4
