"""Images and JSON lines become events on a real, embedded broker."""

import json

import pytest
from astropy.io import fits

from streamdiff.adapters.avro.events import decode_event
from streamdiff.adapters.embedded import EmbeddedBroker
from streamdiff.model import Action, TemplateUpdate, VisitReady

LINE = {
    "event_id": "e1",
    "instrument": "SimCam",
    "visit": 5,
    "detector": 0,
    "band": "r",
    "midpoint_mjd_tai": 61000.5,
    "exposure_time_s": 30.0,
    "image_uri": "s3://bucket/5.fits",
}


@pytest.fixture(scope="module")
def broker():
    with EmbeddedBroker({}) as broker:
        yield broker


@pytest.fixture
def topics(request):
    """Return a prefix that no other test of the broker uses."""
    return f"{request.node.name.replace('[', '.').rstrip(']')}."


@pytest.fixture
def publish(run, config, broker, topics):
    path = config(
        f'[stream]\nbrokers = "{broker.bootstrap}"\ntopic_prefix = "{topics}"\n'
    )
    return lambda *arguments: run("publish", *arguments, "-c", path)


@pytest.fixture
def published(broker, topics):
    """Return the decoded events of a topic."""

    def read(topic, number):
        consumer = broker.transport().consumer(f"reader of {topics}")
        consumer.subscribe([topics + topic], on_assign=id, on_revoke=id, on_lost=id)
        records = []
        try:
            while len(records) < number:
                records += filter(None, [consumer.poll(1.0)])
        finally:
            consumer.close()
        return [(record.key, decode_event(record)) for record in records]

    return read


@pytest.fixture
def lines(tmp_path):
    """Write JSON lines and return their path."""

    def write(*events):
        path = tmp_path / "events.jsonl"
        path.write_text("\n".join(map(json.dumps, events)) + "\n")
        return path

    return write


def test_images_are_announced_by_their_headers(publish, published, images, topics):
    end = publish("visit-ready", images["epoch1"], images["science"])
    assert (end.code, end.out) == (0, f"{topics}visit-ready: 2 events\n")
    events = published("visit-ready", 2)
    assert {key for key, _ in events} == {b"SimCam/0"}
    assert [event.visit for _, event in events] == [1, 9]
    assert [event.image_uri for _, event in events] == [
        images["epoch1"].as_uri(),
        images["science"].as_uri(),
    ]


def test_json_lines_are_events_with_the_time_of_now(publish, published, lines, topics):
    told = publish("visit-ready", lines(LINE, LINE | {"visit": 6}), "--json")
    assert json.loads(told.out) == {
        "topic": f"{topics}visit-ready",
        "event_ids": ["e1", "e1"],
    }
    events = [event for _, event in published("visit-ready", 2)]
    assert [event.visit for event in events] == [5, 6]
    assert all(isinstance(event, VisitReady) for event in events)
    assert all(event.published_at.tzinfo for event in events)


def test_images_become_one_update_for_each_band(publish, published, images, tmp_path):
    other = tmp_path / "other.fits"
    with fits.open(images["epoch2"]) as hdus:
        hdus[0].header["BAND"] = "g"
        hdus.writeto(other)
    paths = (images["epoch1"], other, images["epoch3"])
    end = publish("template-update", *paths, "--action", "replace")
    assert end.code == 0
    updates = {update.band: update for _, update in published("template-update", 2)}
    assert {b: len(u.exposures) for b, u in updates.items()} == {"r": 2, "g": 1}
    assert {u.action for u in updates.values()} == {Action.REPLACE}
    assert {u.template_id for u in updates.values()} == {None}


def test_json_lines_may_be_updates_of_one_patch(publish, published, lines):
    line = {"event_id": "u", "band": "r", "action": "rebuild", "tract": 5, "patch": 6}
    assert publish("template-update", lines(line)).code == 0
    ((key, update),) = published("template-update", 1)
    assert isinstance(update, TemplateUpdate)
    assert (key, update.action) == (b"5/6/r", Action.REBUILD)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"event_id": "e1"}, "events.jsonl"),
        (LINE | {"visit": "many"}, "events.jsonl"),
        (LINE | {"band": 5}, "events.jsonl"),
    ],
)
def test_a_line_that_is_no_event_is_refused_and_none_is_sent(
    publish, lines, line, told
):
    end = publish("visit-ready", lines(LINE, line))
    assert end.code == 1
    assert told in end.err
    assert "events\n" not in end.out


def test_a_file_that_is_not_there_is_refused(publish, tmp_path):
    for name in ("none.fits", "none.jsonl"):
        end = publish("visit-ready", tmp_path / name)
        assert end.code == 1
        assert name in end.err


def test_brokers_must_be_named(run, images):
    end = run("publish", "visit-ready", images["epoch1"])
    assert end.code == 2
    assert "[stream] brokers: required" in end.err
