"""The runtime with real worker processes."""

from streamdiff.adapters.clock import SystemClock
from streamdiff.adapters.workers import WorkerPool
from streamdiff.testing.stream import make_echo_handler


def header(record, name):
    return dict(record.headers)[name].decode()


def test_workers_that_die_or_hang_cost_only_their_own_event(bench):
    good = [b"%d" % i for i in range(20)]
    bench.publish(*good[:10])
    bench.publish(b"die", b"hang", b"fail", b"late")
    bench.publish(*good[10:])
    bench.clock = SystemClock()
    pool = WorkerPool(make_echo_handler, workers=2)
    bench.runtime(pool, topics={"in": 1.0}).run_until_idle()

    assert sorted(bench.values("out")) == sorted([*good, b"late"])
    reasons = {
        r.value: (header(r, "reason"), header(r, "attempts"))
        for r in bench.broker.records("dead-letter")
    }
    assert reasons == {
        b"die": ("worker_died", "3"),
        b"hang": ("timeout", "2"),
        b"fail": ("internal", "1"),
    }
    assert bench.metric("workers_lost_total", reason="worker_died") == 3
