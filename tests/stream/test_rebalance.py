"""What becomes of work when partitions change hands."""

import threading

from streamdiff.testing.stream import echo


def test_work_interrupted_by_a_rebalance_counts_no_attempt(bench, script, until):
    bench.publish(b"a", partition=1)

    def steps():
        yield from until(lambda: bench.executor.orders)
        consumer = bench.transport.consumer("g")
        consumer.subscribe(["in"], on_assign=id, on_revoke=id, on_lost=id)
        yield from until(lambda: bench.executor.abandoned)
        consumer.close()
        yield from until(lambda: bench.executor.orders)
        assert bench.executor.finish(echo).attempt == 1
        yield from until(lambda: bench.values() == [b"a"])

    bench.runtime().run(until=script(steps))


def test_two_members_share_the_work_and_lose_nothing(bench, script, until):
    values = [b"%d" % i for i in range(60)]
    bench.publish(*values)
    both_have_worked = threading.Event()
    second = bench.runtime(bench.inline())
    thread = threading.Thread(
        target=second.run, kwargs={"until": both_have_worked.is_set}
    )

    def steps():
        yield from until(lambda: len(bench.values()) > 10)
        thread.start()
        yield from until(lambda: len(bench.broker.group("g").topics) == 2)
        yield from until(lambda: len(set(bench.broker.group("g").owners.values())) == 2)
        yield from until(lambda: len(bench.values()) > 40)
        both_have_worked.set()
        thread.join()
        yield from until(lambda: set(bench.values()) == set(values))

    bench.runtime(bench.inline()).run(until=script(steps))
    assert len(bench.values()) <= len(values) + 4  # one in work per partition


def test_a_lost_partition_is_never_committed(bench, script, until):
    bench.publish(b"a", partition=0)

    def steps():
        yield from until(lambda: bench.executor.orders)
        (member,) = bench.broker.group("g").topics
        member.expire()
        bench.executor.finish(echo)
        yield
        assert bench.offset(0) == 0
        yield from until(lambda: bench.executor.orders)
        bench.executor.finish(echo)
        yield from until(lambda: bench.offset(0) == 1)

    bench.runtime().run(until=script(steps))
    assert bench.values() == [b"a"] * len(bench.values())


def test_a_partition_that_was_full_when_it_was_lost_is_read_again(bench, script, until):
    bench.executor.workers = 1
    bench.publish(*[b"%d" % n for n in range(6)], partition=1)

    def steps():
        yield from until(lambda: bench.executor.orders)
        yield from until(lambda: bench.metric("partitions_paused") == 1)
        (member,) = bench.broker.group("g").topics
        member.expire()
        yield from until(lambda: bench.metric("rebalances_total", kind="lost"))
        for n in range(6):
            yield from until(lambda: bench.executor.orders)
            bench.executor.finish(echo)
            bench.clock.advance(1)  # a refused commit rests a little
            yield from until(lambda n=n: bench.offset(1) == n + 1)

    bench.runtime().run(until=script(steps))


def test_finished_work_of_a_revoked_partition_is_sent_and_committed(
    bench, script, until
):
    bench.publish(b"a", partition=1)

    def steps():
        yield from until(lambda: bench.executor.orders)
        consumer = bench.transport.consumer("g")
        consumer.subscribe(["in"], on_assign=id, on_revoke=id, on_lost=id)
        bench.executor.finish(echo)
        yield from until(lambda: bench.metric("partitions") == 2)
        consumer.close()

    bench.runtime().run(until=script(steps))
    assert bench.values() == [b"a"]
    assert bench.offset(1) == 1
    assert not bench.executor.abandoned
