"""`streamdiff replay`: against what was sent, and one configuration against another."""

import json
from functools import partial

import pytest
from click.testing import CliRunner

from streamdiff.adapters.avro.container import read_alerts
from streamdiff.adapters.event_log import write_log
from streamdiff.adapters.workers import InlineExecutor
from streamdiff.app.replay.worker import make_replay_handler
from streamdiff.app.topics import Topics
from streamdiff.cli.program import program
from streamdiff.errors import ConfigError

TOPICS = Topics("streamdiff.")
CONFIG = """
[store]
uri = "{uri}"
skymap = {{ patch_pixels = {patch_pixels} }}
[input]
roots = ["{root}"]
[stream]
workers = 1
[plugins.find.score_peaks]
threshold = {threshold}
"""


@pytest.fixture(scope="module")
def night(new_stream, visit, settings, tmp_path_factory):
    """Return a folder with a log, its alerts, and two configurations."""
    folder = tmp_path_factory.mktemp("night")
    stream = new_stream()
    stream.send(TOPICS.visit_ready, visit(event_id="night", visit=600))
    stream.run()
    topics = (TOPICS.visit_ready, TOPICS.visit_processed)
    records = [r for topic in topics for r in stream.broker.records(topic)]
    write_log(folder / "log.avro", records)
    write_log(folder / "alerts.avro", stream.alerts())
    for name, threshold in (("five", 5.0), ("fifty", 50.0)):
        (folder / f"{name}.toml").write_text(
            CONFIG.format(
                uri=settings.store.uri,
                patch_pixels=settings.store.skymap.patch_pixels,
                root=settings.input.roots[0],
                threshold=threshold,
            )
        )
    return folder


def replay(folder, *arguments):
    log = folder / "log.avro"
    called = ["replay", log, *arguments, "-c", folder / "five.toml"]
    return CliRunner().invoke(
        program, list(map(str, called)), standalone_mode=False, catch_exceptions=False
    )


def test_a_replay_is_the_same_as_what_was_sent(night, tmp_path):
    made = replay(night, "--out", tmp_path, "--against", night / "alerts.avro")
    assert made.return_value == 0, made.output
    assert "1 processed" in made.output


def in_this_process(settings):
    return InlineExecutor(partial(make_replay_handler, settings))


def test_a_replay_that_associates_keeps_its_own_catalogue(night, tmp_path, monkeypatch):
    monkeypatch.setenv("STREAMDIFF__PIPELINE__ASSOCIATE", "nearest")
    monkeypatch.setattr("streamdiff.cli.replay.pool", in_this_process)
    monkeypatch.chdir(tmp_path)
    made = replay(night, "--out", tmp_path / "again", "--json")
    n_alerts = json.loads(made.stdout)["replay"]["n_alerts"]
    (path,) = (tmp_path / "again").glob("*.avro")
    objects = {a["diaObject"]["diaObjectId"] for a in read_alerts(path)}
    assert len(objects) == n_alerts > 0
    assert (tmp_path / "again" / "catalogue.db").is_file()
    assert not (tmp_path / "streamdiff.db").exists()
    with pytest.raises(ConfigError, match="there is no such catalogue"):
        replay(night, "--out", tmp_path, "--catalogue", "sqlite:///none.db")


def test_another_threshold_loses_what_is_faint(night, tmp_path):
    made = replay(
        night,
        "--out",
        tmp_path,
        "--versus",
        night / "fifty.toml",
        "--json",
        "--inject",
        "n=10,snr=20:60",
        "--pictures",
    )
    told = json.loads(made.stdout)
    assert set(told) == {"five", "fifty", "comparisons"}
    (found,) = told["comparisons"].values()
    assert found["counts"]["lost"] == found["counts"]["a"] - found["counts"]["b"] > 0
    assert found["counts"]["new"] == 0
    assert {lost["snr"] < 50 for lost in found["lost"]} == {True}
    n_found = {
        side: sum(b["n_found"] for b in told[side]["injected"])
        for side in ("five", "fifty")
    }
    assert n_found["fifty"] < n_found["five"]
    assert (tmp_path / "completeness.png").stat().st_size > 1000
    assert list((tmp_path / "pictures").glob("*.png"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--speed", "2"], "need --to kafka"),
        (["--inject", "snr=3"], "is not understood"),
        (["--tolerance", "psfFlux"], "psfFlux"),
        (["--to", "kafka"], "brokers"),
        (["--band", "z"], "no visit-ready event"),
        (["--catalogue", "sqlite:///x.db"], "needs .pipeline. associate"),
    ],
)
def test_wrong_usage_is_one_line(night, tmp_path, arguments, told):
    with pytest.raises(Exception, match=told):
        replay(night, "--out", tmp_path, *arguments)
