"""Retry, limits, commit points, dead letters: the small parts."""

from functools import partial
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdiff.errors import (
    DeadLetterLimitError,
    InvalidExposureError,
    RetryableError,
    StoreUnavailableError,
)
from streamdiff.model import Reason
from streamdiff.ports import CommitPoint, ConsumedRecord, Failure
from streamdiff.stream.dead_letter import dead_letter
from streamdiff.stream.limits import DeadLetterCount, DeadLetterLimit
from streamdiff.stream.mailbox import Mailbox
from streamdiff.stream.offsets import attempts_made, with_attempt
from streamdiff.stream.retry import Backoff
from streamdiff.stream.settings import RuntimeSettings
from streamdiff.testing.stream import FakeClock


@given(attempt=st.integers(1, 10_000), seed=st.integers(0, 99))
def test_back_off_grows_up_to_its_limit(attempt, seed):
    backoff = Backoff(first_s=1.0, longest_s=30.0, random=Random(seed))  # noqa: S311
    assert 0 <= backoff.delay_s(attempt) <= min(30.0, 2.0 ** min(attempt - 1, 10))


def test_back_off_is_spread():
    backoff = Backoff(first_s=8.0, random=Random(1))  # noqa: S311
    delays = [backoff.delay_s(1) for _ in range(400)]
    # the mean of 400 uniform values scatters by 8 / sqrt(12 * 400) = 0.12
    assert sum(delays) / 400 == pytest.approx(4.0, abs=5 * 0.12)


@given(offset=st.integers(0, 2**62), attempt=st.integers(0, 1000))
def test_attempts_survive_in_the_metadata(offset, attempt):
    assert attempts_made(with_attempt(offset, attempt), offset) == attempt


@pytest.mark.parametrize(
    "metadata", ["", "{", "[]", "3", '{"attempt": "2"}', '{"attempt": -1}', "{}"]
)
def test_foreign_metadata_counts_for_nothing(metadata):
    assert attempts_made(CommitPoint(5, metadata), 5) == 0


def test_attempts_belong_to_one_offset():
    assert attempts_made(with_attempt(5, 2), 6) == 0


def judge(limit, outcomes):
    count = DeadLetterCount(limit)
    for failed in outcomes:
        count.add(failed=failed)


def test_failures_in_a_row_reach_the_limit():
    limit = DeadLetterLimit(ratio=1, consecutive=3)
    judge(limit, [True, True, False] * 10)
    with pytest.raises(DeadLetterLimitError, match="3 events in a row"):
        judge(limit, [True, True, True])


def test_ratio_is_not_judged_before_the_window_is_full():
    limit = DeadLetterLimit(ratio=0.5, consecutive=0, window=20)
    judge(limit, [True] * 19)
    with pytest.raises(DeadLetterLimitError, match="55% of the last 20"):
        judge(limit, [True, False] * 9 + [True, True])


def test_ratio_of_one_and_no_run_allow_everything():
    judge(DeadLetterLimit(ratio=1, consecutive=0), [True] * 100)


@pytest.mark.parametrize("wrong", [{"ratio": 2}, {"consecutive": -1}, {"window": 0}])
def test_a_limit_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        DeadLetterLimit(**wrong)


@pytest.mark.parametrize("wrong", [{"topics": {}}, {"max_attempts": 0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=r"need|must be"):
        RuntimeSettings(**{"topics": {"in": 1.0}, "group": "g"} | wrong)


def failure(message="no", traceback="trace"):
    return Failure(
        reason=Reason.TIMEOUT,
        error_class="TimeoutError",
        message=message,
        traceback=traceback,
        stage="subtract",
        plugin="al",
    )


def letter(record, **changes):
    return dead_letter(
        record, failure(**changes), attempts=3, topic="dlq", clock=FakeClock()
    )


def headers(outgoing):
    prefix = "streamdiff.dlq."
    return {
        name.removeprefix(prefix): value.decode()
        for name, value in outgoing.headers
        if name.startswith(prefix)
    }


RECORD = ConsumedRecord(
    topic="in",
    partition=2,
    offset=7,
    key=b"\xff",
    value=None,
    headers=(("a", None), ("a", b"\x00")),
)


def test_a_dead_letter_keeps_the_original():
    outgoing = letter(RECORD)
    assert (outgoing.key, outgoing.value) == (b"\xff", None)
    assert outgoing.headers[:2] == RECORD.headers


def test_a_dead_letter_tells_where_and_why():
    told = headers(letter(RECORD))
    assert (told["topic"], told["partition"], told["offset"]) == ("in", "2", "7")
    assert (told["stage"], told["plugin"], told["attempts"]) == ("subtract", "al", "3")
    assert told["failed_at"] == "1970-01-12T13:46:40.000+00:00"


def test_a_record_that_fails_again_has_one_set_of_headers():
    first = letter(RECORD)
    again = ConsumedRecord(
        topic="dlq", partition=0, offset=0, key=None, value=b"", headers=first.headers
    )
    names = [name for name, _ in letter(again).headers]
    assert len(names) == len(first.headers)


@given(text=st.text(st.characters(), max_size=4000))
def test_long_texts_are_cut_at_whole_characters(text):
    told = headers(letter(RECORD, message=text, traceback=text * 10))
    assert len(told["error_message"].encode()) <= 1024
    assert len(told["traceback"].encode()) <= 8192
    assert (
        text.encode("utf-8", "backslashreplace")
        .decode()
        .startswith(told["error_message"])
    )


def test_the_end_of_a_traceback_is_kept():
    told = headers(letter(RECORD, traceback="x" * 10_000 + "ValueError"))
    assert told["traceback"].endswith("ValueError")


@pytest.mark.parametrize(
    ("error", "reason", "retryable"),
    [
        (InvalidExposureError("x"), Reason.INVALID_EXPOSURE, False),
        (StoreUnavailableError("x"), Reason.STORE_UNAVAILABLE, True),
        (RetryableError("x"), Reason.INTERNAL, True),
        (UnicodeDecodeError("utf-8", b"", 0, 1, "bad"), Reason.INTERNAL, False),
    ],
)
def test_an_error_becomes_a_failure(error, reason, retryable):
    told = Failure.of(error)
    assert (told.reason, told.retryable) == (reason, retryable)
    assert told.error_class == type(error).__name__


def test_a_wait_for_mail_ends_however_short_it_is():
    # queue.SimpleQueue of CPython 3.11 does not come back from this.
    mailbox, read = Mailbox(), []
    for n in range(1000):
        mailbox.wait(1e-6)
        mailbox.post(partial(read.append, n))
        mailbox.deliver()
    assert read == list(range(1000))
