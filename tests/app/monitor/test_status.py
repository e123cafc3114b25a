"""What the monitor keeps, and the numbers that it tells."""

from dataclasses import replace
from datetime import timedelta

import pytest

from streamdiff.app.monitor.recent import MAX_PROBLEMS, Limits, Recent
from streamdiff.app.monitor.status import VISITS_SHOWN, status_of
from streamdiff.model import Outcome, Reason


def test_latency_counts_from_the_end_of_the_exposure(recent, now):
    status = status_of(recent.picture(), now)

    assert status.since_shutter.n == 8
    # MJD has 1e-5 s of a day's 53 bits left
    assert status.since_shutter.p50 == pytest.approx(60, abs=0.01)
    assert status.since_event.p99 == pytest.approx(50)


def test_old_exposures_tell_nothing_of_the_time_since_their_end(event, report, now):
    recent = Recent()
    old = replace(event(0), midpoint_mjd_tai=61000.0)
    recent.add_event(old)
    recent.add_report(report(0))
    status = status_of(recent.picture(), now)
    assert (status.since_shutter.n, status.since_event.n) == (0, 1)


def test_what_waits_is_what_has_no_report(recent, now):
    status = status_of(recent.picture(), now)

    assert status.n_waiting == 1
    # published 5 min and 8 s before, less the 10 s after the exposure
    assert status.oldest_waiting_s == pytest.approx(298)


def test_a_report_may_come_before_its_event(event, report, now):
    recent = Recent()
    recent.add_report(report(0))
    recent.add_event(event(0))

    status = status_of(recent.picture(), now)

    assert status.n_waiting == 0
    assert status.since_event.n == 1


def test_rates_are_those_of_the_last_ten_minutes(report, now):
    recent = Recent(is_live=True)
    for number in range(20):
        recent.add_report(report(number))

    # 4 min after the first exposure, whose report took a minute
    status = status_of(recent.picture(), now)
    assert status.visits_per_min == pytest.approx(20 / (259 / 60), abs=0.01)
    assert status_of(recent.picture(), now + timedelta(hours=1)).visits_per_min == 0


def test_rates_of_files_are_those_before_the_last_report(report, now):
    recent = Recent()
    for number in range(20):
        recent.add_report(report(number))

    status = status_of(recent.picture(), now + timedelta(days=300))

    assert status.visits_per_min == pytest.approx(20 / (19 / 60), abs=0.01)


def test_outcomes_are_counted_by_reason(recent, now):
    assert status_of(recent.picture(), now).outcomes == (
        ("processed", "", 6),
        ("skipped", "no_template", 1),
        ("failed", "timeout", 1),
    )


def test_the_map_has_the_latest_visits_detector_by_detector(recent, now):
    visits = status_of(recent.picture(), now).visits

    assert [visit.visit for visit in visits] == [8, 7]
    assert [cell.detector for cell in visits[0].cells] == [0, 1, 2, 3]
    assert visits[0].cells[3].reason == "timeout"


def test_a_visit_processed_again_has_its_last_outcome(report, now):
    recent = Recent()
    recent.add_report(report(0, Outcome.FAILED, Reason.TIMEOUT))
    recent.add_report(report(0))

    [visit] = status_of(recent.picture(), now).visits

    assert [cell.outcome for cell in visit.cells] == ["processed"]


def test_without_reports_the_map_is_of_the_alerts(make_recent, records, now):
    visits = status_of(make_recent(records).picture(), now).visits

    assert [visit.visit for visit in visits] == [9, 8, 7]
    assert [cell.n_alerts for cell in visits[0].cells] == [1, 1, 1, 1]


def test_nothing_yet_is_no_error(now):
    status = status_of(Recent(is_live=True).picture(), now)

    assert status.visits_per_min == 0
    assert status.last_report_s is None
    assert status.since_shutter.p50 is None


def test_only_the_latest_are_kept(make_recent, records, event, report, now):
    recent = make_recent(records, Limits(alerts=5, visits=3))
    for number in range(100):
        recent.add_event(event(number))
        recent.add_report(report(number))
        recent.add_problem(f"problem {number}")

    picture = recent.picture()

    assert [row.id for row in picture.rows] == [1007, 1008, 1009, 1010, 1011]
    assert recent.packet(1006) is None
    assert len(picture.events) == len(picture.reports) == 3
    assert len(picture.problems) == MAX_PROBLEMS
    assert picture.n_reports == 100
    assert len(status_of(picture, now).visits) <= VISITS_SHOWN


def test_the_memory_of_alerts_is_bounded(make_recent, records):
    size = len(make_recent(records[:1]).packet(1000).body)

    recent = make_recent(records, Limits(alert_mib=3.5 * size / 2**20))

    assert [row.id for row in recent.picture().rows] == [1009, 1010, 1011]


def test_an_alert_that_comes_again_counts_once(make_recent, records):
    recent = make_recent([*records, records[0]])

    picture = recent.picture()
    assert [row.id for row in picture.rows][-1] == 1000
    assert (len(picture.rows), picture.n_alerts) == (12, 12)
    assert picture.rows[-1].number == 13
