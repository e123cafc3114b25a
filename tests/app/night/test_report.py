"""The report on a night says what its archive does, in numbers and on a page."""

import json
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from streamdiff.adapters.avro.events import encode_event
from streamdiff.adapters.event_log import write_log
from streamdiff.app.night.archive import read_night
from streamdiff.app.night.report import write_night
from streamdiff.app.night.summary import summary
from streamdiff.app.replay.completeness import completeness
from streamdiff.cli import main
from streamdiff.errors import UndecodableError
from streamdiff.model import Outcome, Reason, VisitProcessed, VisitReady
from streamdiff.ports import ConsumedRecord, Failure
from streamdiff.stream.dead_letter import dead_letter
from streamdiff.testing.stream import FakeClock

START = datetime(2026, 11, 27, 20, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>"
GOOD = {
    "difference_noise_ratio": 1.0,
    "science_psf_fwhm_pixel": 4.0,
    "template_coverage": 1.0,
    "template_offset_x_pixel": 0.3,
    "template_offset_y_pixel": 0.4,
    "n_kernel_candidates": 40.0,
    "n_kernel_rejected": 10.0,
    "n_injected": 50.0,
    "n_injected_found": 45.0,
}


def event(number):
    return VisitReady(
        event_id=f"e{number}",
        instrument="SimCam",
        visit=100 + number,
        detector=number % 2,
        band="gr"[number % 2],
        midpoint_mjd_tai=61371.8 + number / 100,
        exposure_time_s=30.0,
        image_uri="file:///x",
        published_at=START + timedelta(minutes=number),
    )


def report(number, outcome=Outcome.PROCESSED, reason=None, **metrics):
    asked = event(number)
    return VisitProcessed(
        event_id=asked.event_id,
        instrument=asked.instrument,
        visit=asked.visit,
        detector=asked.detector,
        band=asked.band,
        outcome=outcome,
        reason=reason,
        n_alerts=3 if outcome is Outcome.PROCESSED else 0,
        n_filtered={"flags": 2},
        metrics=(GOOD | metrics) if outcome is Outcome.PROCESSED else {},
        finished_at=asked.published_at + timedelta(seconds=20),
    )


def record(topic, offset, message):
    value = message if isinstance(message, bytes) else encode_event(message)
    return ConsumedRecord(
        topic=f"streamdiff.{topic}",
        partition=0,
        offset=offset,
        key=b"SimCam/0",
        value=value,
        timestamp_ms=round(1000 * (START.timestamp() + 60 * offset)),
    )


def letter(number):
    failure = Failure(
        reason=Reason.UNREADABLE_IMAGE,
        error_class="UnreadableImageError",
        message=HOSTILE,
        stage="read",
    )
    asked = record("visit-ready", number, event(number))
    dead = dead_letter(
        asked, failure, attempts=1, topic="streamdiff.dead-letter", clock=FakeClock()
    )
    return ConsumedRecord(
        topic=dead.topic,
        partition=0,
        offset=number,
        key=dead.key,
        value=dead.value,
        headers=dead.headers,
        timestamp_ms=asked.timestamp_ms,
    )


REPORTS = [
    *(report(number) for number in range(8)),
    report(8, difference_noise_ratio=1.4, template_coverage=0.5),
    report(9, Outcome.SKIPPED, Reason.NO_TEMPLATE),
    report(10, Outcome.FAILED, Reason.UNREADABLE_IMAGE),
]


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "000001.avro"
    records = [
        *(record("visit-ready", n, event(n)) for n in range(12)),
        record("visit-ready", 12, b'{"foreign": 1}'),
        *(record("visit-processed", n, told) for n, told in enumerate(REPORTS)),
        record("visit-processed", 11, REPORTS[0]),  # delivered again
        record("alerts", 0, b"passed over"),
        letter(10),
    ]
    write_log(path, records)
    return path


@pytest.fixture(scope="module")
def found(log):
    return summary(read_night([log]))


def test_what_came_is_counted_once(found):
    assert (found.n_visits, found.n_images, found.n_alerts) == (11, 11, 27)
    assert found.n_waiting == 1
    assert {outcome: n for outcome, _, n in found.outcomes} == {
        "processed": 9,
        "skipped": 1,
        "failed": 1,
    }
    assert found.since_event.p50 == 20.0
    assert found.filtered == {"flags": 22}
    assert [(d.detector, d.n, d.n_processed) for d in found.detectors] == [
        (0, 6, 5),
        (1, 5, 4),
    ]


def test_completeness_is_told_by_band(found):
    assert found.injected == {"g": (5 * 45, 5 * 50), "r": (4 * 45, 4 * 50)}


def test_figures_are_spread_by_band_and_odd_visits_are_named(found):
    g, r = found.figures["difference_noise_ratio"]
    assert (g.band, g.n, g.p50, g.n_odd) == ("g", 5, 1.0, 1)
    assert (r.band, r.n, r.n_odd) == ("r", 4, 0)
    assert found.figures["template_offset_pixel"][0].p50 == pytest.approx(0.5)
    assert found.figures["kernel_candidates_kept"][0].p50 == 30
    assert found.figures["sky_pull_std"] == []
    [odd] = found.odd
    assert (odd.visit, odd.detector) == (108, 0)
    assert odd.why == ("noise ratio 1.4", "template coverage 0.5")


def test_dead_letters_are_told_by_reason(found):
    [row] = found.letters
    assert (row.reason, row.stage, row.n, row.place) == (
        "unreadable_image",
        "read",
        1,
        "0:10",
    )


def test_the_page_has_pictures_and_escapes_what_others_wrote(log, found, tmp_path):
    page = tmp_path / "night.html"
    write_night(page, read_night([log]), found)
    text = page.read_text()
    assert HOSTILE not in text
    assert "&lt;script&gt;" in text
    shown = sum(bool(spreads) for spreads in found.figures.values())
    assert text.count("data:image/png;base64,") == shown == 5
    assert "noise ratio 1.4, template coverage 0.5" in text


def test_completeness_by_signal_over_noise_is_drawn_where_it_is_known(log, tmp_path):
    recovery = {
        "snr": np.array([4.5, 12.0, 12.0]),
        "flux": np.ones(3),
        "is_found": np.array([0.0, 1.0, 1.0]),
        "forced_flux": np.ones(3),
        "forced_flux_error": np.full(3, 0.1),
    }
    night = read_night([log])
    told = summary(night, completeness(recovery))
    assert [(b["n"], b["n_found"]) for b in told.as_json()["curve"]] == [(1, 0), (2, 2)]
    write_night(tmp_path / "night.html", night, told)
    text = (tmp_path / "night.html").read_text()
    assert "completeness against signal over noise" in text


def test_a_time_chooses_records(log):
    night = read_night([log], since_ms=round(1000 * (START.timestamp() + 60 * 9)))
    assert set(night.reports) == {"e9", "e10", "e0"}


def test_a_night_without_reports_is_told_as_such(tmp_path):
    path = tmp_path / "empty.avro"
    write_log(path, [record("visit-ready", 0, event(0))])
    night = read_night([path])
    write_night(tmp_path / "night.html", night, summary(night))
    text = (tmp_path / "night.html").read_text()
    assert "no report on a visit" in text
    with pytest.raises(UndecodableError):
        read_night([tmp_path / "nothing.avro"])


@pytest.fixture
def told(log, monkeypatch, capsys):
    """Return what the command prints."""

    def tell(*options):
        arguments = ["streamdiff", "archive", "report", str(log.parent), *options]
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code
        return capsys.readouterr().out

    return tell


def test_the_command_tells_a_few_lines_or_json(told, tmp_path):
    lines = told().splitlines()
    assert lines[0].startswith("11 visits, 11 detector images, 27 alerts")
    assert "Injected sources in g: 225 of 250 found (90.0%)" in lines
    assert any("1 beyond what is expected" in line for line in lines)
    assert "Dead letters: 1 unreadable_image at read, such as 0:10" in lines
    page = tmp_path / "night.html"
    values = json.loads(told("--json", "-o", str(page)))
    assert values["output"] == str(page)
    assert page.exists()
    assert values["outcomes"][0] == {"outcome": "processed", "reason": None, "n": 9}
    assert values["injected"]["g"] == {"n": 250, "n_found": 225}
    assert values["odd"][0]["visit"] == 108
