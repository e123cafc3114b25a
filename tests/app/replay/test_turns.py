"""Whatever order visits end in, they have their turns in the order of time."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from streamdiff.app.replay.turns import Turns
from streamdiff.model import VisitReady


def event(visit, **changes):
    made = VisitReady(
        event_id=f"e{visit}",
        instrument="SimCam",
        visit=visit,
        detector=1,
        band="r",
        midpoint_mjd_tai=61000.0 + visit,
        exposure_time_s=30.0,
        image_uri="memory://image",
        published_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return replace(made, **changes)


def test_turns_come_in_the_order_of_time():
    events = [event(n) for n in range(30)]
    ends = [events[i] for i in np.random.default_rng(1).permutation(30)]
    turns, order = Turns(ends), []
    for ended in ends:
        order += turns.ended(ended, processed=ended.visit % 3 > 0)
    assert order == [e for e in events if e.visit % 3]
    assert len(turns) == 0


def test_nobody_waits_for_what_comes_later():
    first, second, third = (event(n) for n in range(3))
    turns = Turns([third, first, second])
    assert list(turns.ended(second, processed=True)) == []
    assert list(turns.ended(first, processed=True)) == [first, second]
    assert len(turns) == 1


def test_detectors_of_a_visit_come_by_their_number():
    events = [event(1, event_id=str(d), detector=d) for d in (10, 9)]
    turns = Turns(events)
    assert list(turns.ended(events[0], processed=True)) == []
    assert list(turns.ended(events[1], processed=True)) == events[::-1]


def test_what_was_announced_twice_has_one_turn():
    once, again = event(1), event(1, event_id="later")
    turns = Turns([once, again])
    assert list(turns.ended(again, processed=True)) == []
    assert list(turns.ended(once, processed=True)) == [again]
