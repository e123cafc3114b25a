"""What becomes of results that can not be sent."""

import pytest

from streamdiff.errors import RetryableError, StreamError, TooLargeError
from streamdiff.stream.dead_letter import dead_letter
from streamdiff.testing.stream import FakeClock


def test_a_failed_send_is_repeated_byte_for_byte(bench):
    bench.publish(b"a")
    transport, producer = bench.flaky([RetryableError("down"), RetryableError("down")])
    bench.runtime(bench.inline(), transport=transport).run_until_idle()
    assert bench.values() == [b"a"]
    assert len(producer.seen) == 3
    assert len(set(producer.seen)) == 1


def test_results_too_large_to_send_become_a_dead_letter(bench):
    bench.publish(b"a")
    transport, _ = bench.flaky([TooLargeError("9 MB")])
    bench.runtime(bench.inline(), transport=transport).run_until_idle()
    (letter,) = bench.broker.records("dead-letter")
    assert bench.header(letter, "reason") == "too_large"


class Letters:
    """Reports failures as the service does."""

    def report(self, record, failure, attempts):
        clock = FakeClock()
        letter = dead_letter(
            record, failure, attempts=attempts, topic="dead-letter", clock=clock
        )
        return (letter,)


@pytest.mark.parametrize(
    ("refusals", "omitted", "value"),
    [(2, "traceback", b"a"), (3, "traceback, value", b"")],
)
def test_a_dead_letter_too_large_to_send_says_what_it_leaves_out(
    bench, refusals, omitted, value
):
    bench.publish(b"a")
    transport, _ = bench.flaky([TooLargeError("9 MB")] * refusals)
    runtime = bench.runtime(bench.inline(), transport=transport, reporter=Letters())
    runtime.run_until_idle()
    (letter,) = bench.broker.records("dead-letter")
    assert bench.header(letter, "streamdiff.dlq.omitted") == omitted
    assert (letter.key, letter.value) == (b"a", value)
    assert "streamdiff.dlq.traceback" not in dict(letter.headers)


def test_a_dead_letter_that_can_not_be_sent_stops_the_process(bench):
    bench.publish(b"a")
    transport, _ = bench.flaky([TooLargeError("9 MB"), TooLargeError("9 MB")])
    with pytest.raises(StreamError, match=r"in\[\d\] offset 0: its dead letter"):
        bench.runtime(bench.inline(), transport=transport).run_until_idle()
    assert not any(c.offset for c in bench.broker.committed("g").values())


def test_a_broken_producer_stops_the_process_and_commits_nothing(bench):
    bench.publish(b"a")
    transport, _ = bench.flaky([RuntimeError("fenced")])
    with pytest.raises(StreamError, match="fenced"):
        bench.runtime(bench.inline(), transport=transport).run_until_idle()
    assert not any(c.offset for c in bench.broker.committed("g").values())
