"""The demo itself, on a survey of a few stamps."""

import re
from base64 import b64decode

import pytest
from matplotlib.image import imread

from streamdiff.adapters.archive.verify import verify
from streamdiff.adapters.avro.container import read_alerts
from streamdiff.adapters.event_log import log_files
from streamdiff.app.demo.figures import Figures
from streamdiff.app.demo.report import write_report
from streamdiff.app.demo.run import ARCHIVE, run_demo
from streamdiff.app.demo.settings import SUBTRACTORS
from streamdiff.app.demo.triplets import write_triplets
from streamdiff.app.environment import find_plugins, read_settings
from streamdiff.app.topics import topics_of
from streamdiff.errors import StreamError
from streamdiff.testing import Population, Survey


class Steps:
    """Remembers how far each phase came."""

    def __init__(self):
        self.total, self.done, self.notes = {}, {}, []

    def begin(self, phase, total):
        self.total[phase] = total

    def advance(self, phase, done):
        self.done[phase] = done

    def note(self, text):
        self.notes.append(text)


def small(**changes):
    few = {"transients": 4, "hosted": 0, "vanished": 0, "variables": 1, "movers": 0}
    chosen = {
        "shape": (256, 256),
        "n_epochs": 5,
        "n_visits": 2,
        "galaxies": 2,
        "population": Population(**few),
        "seed": 3,
    }
    return Survey(**(chosen | changes))


@pytest.fixture(scope="module")
def steps():
    return Steps()


@pytest.fixture(scope="module")
def result(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("demo")
    return run_demo(folder, small(), find_plugins(), steps, workers=1)


def test_every_alert_that_was_produced_is_read(result):
    assert result.n_read == result.n_produced > 0
    stored = list(read_alerts(result.directory / "alerts.avro"))
    assert [a["diaSourceId"] for a in stored] == [
        a["diaSourceId"] for a in result.alerts
    ]


def test_the_night_is_archived_with_what_replays_it(result):
    found = verify(log_files([result.directory / ARCHIVE]))
    assert found.is_whole
    counts = {}
    for partition in found.partitions:
        topic = partition.topic
        counts[topic] = counts.get(topic, 0) + partition.records
    assert counts["streamdiff.alerts"] == result.n_read
    assert counts["streamdiff.visit-processed"] == len(result.reports)
    for name in set(SUBTRACTORS) & set(find_plugins().names("subtract")):
        settings = read_settings(result.directory / f"{name}.toml")
        assert settings.pipeline.subtract == name
        assert counts[topics_of(settings).visit_ready] == 1
        config_hash = {
            report.provenance.config_hash
            for report in result.reports.values()
            if report.provenance.plugins["subtract"].startswith(name)
        }
        assert config_hash == {settings.config_hash}


def test_visits_are_shared_among_the_subtraction_plugins(result):
    used = [
        r.provenance.plugins["subtract"].split(" ")[0] for r in result.reports.values()
    ]
    installed = set(SUBTRACTORS) & set(find_plugins().names("subtract"))
    assert set(used) == installed


def test_bright_changes_are_found(result):
    bright = [
        hit
        for score in result.scores
        for change, hit in zip(score.changes, score.found, strict=True)
        if abs(change.ideal_snr) > 12
    ]
    assert bright
    assert all(bright)


def test_its_figures_are_those_of_the_visits(result):
    figures = Figures.of(result)
    told = figures.as_json()
    assert told["n_visits"] == len(result.reports)
    assert told["n_false"] == sum(len(score.false_ids) for score in result.scores)
    assert sum(b["true"] for b in told["completeness"]) >= told["n_bright"] > 0
    assert f"{figures.n_read} of {figures.n_produced} alerts read" in figures.summary


def test_progress_is_shown_to_the_end_of_each_phase(result, steps):
    phases = ["images", "services", "templates", "visits", "alerts"]
    assert list(steps.total) == phases
    assert steps.done == steps.total
    assert any("compiled" in note for note in steps.notes)


def test_the_page_holds_its_numbers_and_pictures(result, tmp_path):
    page = tmp_path / "report.html"
    write_report(page, result, "a <summary>")
    text = page.read_text()
    assert "a &lt;summary&gt;" in text
    assert "<h1>streamdiff demo</h1>" in text
    assert f"<td>{result.scores[0].visit}</td>" in text
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    assert pictures
    assert all(b64decode(p).startswith(b"\x89PNG") for p in pictures)


def test_a_picture_shows_a_change_of_each_kind(result, tmp_path):
    write_triplets(tmp_path / "triplets.png", result)
    picture = imread(tmp_path / "triplets.png")
    kinds = {
        change.kind
        for score in result.scores
        for change, hit in zip(score.changes, score.found, strict=True)
        if hit
    }
    assert picture.shape[0] == pytest.approx(110 * (0.3 + 1.6 * len(kinds)), abs=1)


def test_a_visit_that_fails_ends_the_demo_with_its_reason(tmp_path):
    nothing = small(n_epochs=1, n_visits=1, density_per_mpx=0, galaxies=0)
    with pytest.raises(StreamError, match=r"was (skipped|failed)"):
        run_demo(tmp_path, nothing, find_plugins(), Steps(), workers=1)
