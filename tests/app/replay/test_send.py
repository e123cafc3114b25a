from dataclasses import replace

import pytest

from streamdiff.adapters.avro.events import decode_event
from streamdiff.app.decoding import Decoding
from streamdiff.app.replay.events import Selection
from streamdiff.app.replay.send import Rewriting, Sending
from streamdiff.app.topics import Topics
from streamdiff.ports import ConsumedRecord


class Sent:
    """A producer that keeps what it is given, and when."""

    def __init__(self, clock):
        self.clock = clock
        self.records, self.times = [], []

    def send(self, records):
        self.records += records
        self.times.append(self.clock.monotonic())


@pytest.fixture
def sent(clock):
    return Sent(clock)


@pytest.fixture
def sending(sent, clock):
    return Sending(
        producer=sent,
        topics=Topics("other."),
        decoding=Decoding(),
        clock=clock,
        sleep=clock.advance,
    )


@pytest.fixture
def logged(visit, update, record):
    """Return a log of three events, half a minute apart, and of a report."""
    first, second = (record(visit(event_id=f"v{n}"), timestamp_ms=1000) for n in "12")
    second = replace(second, timestamp_ms=31_000, headers=(("trace", b"7"),))
    third = replace(record(update()), timestamp_ms=61_000)
    report = replace(first, topic="s.visit-processed", timestamp_ms=40_000)
    return [first, second, report, third]


def test_events_are_sent_as_they_were(sending, sent, logged):
    told = []
    assert sending.send(logged, told.append) == 3
    assert [r.topic for r in sent.records] == [
        "other.visit-ready",
        "other.visit-ready",
        "other.template-update",
    ]
    events = [logged[0], logged[1], logged[3]]
    for out, was in zip(sent.records, events, strict=True):
        assert (out.key, out.value, out.headers) == (was.key, was.value, was.headers)
    assert told == [3]


@pytest.mark.parametrize(("speed", "times"), [(1.0, [0, 30, 60]), (10.0, [0, 3, 6])])
def test_the_spacing_is_that_of_the_log(sending, sent, logged, speed, times):
    start = sent.clock.monotonic()
    replace(sending, speed=speed).send(logged, lambda n: None)
    assert [t - start for t in sent.times] == pytest.approx(times)


def test_times_and_ids_are_new_on_request(sending, sent, logged, clock):
    rewriting = Rewriting(times=True, id_suffix="-again")
    replace(sending, rewriting=rewriting).send(logged, lambda n: None)
    events = [
        decode_event(
            ConsumedRecord(
                topic=r.topic, partition=0, offset=0, key=r.key, value=r.value
            )
        )
        for r in sent.records
    ]
    assert [e.event_id for e in events] == ["v1-again", "v2-again", "update-1-again"]
    assert {e.published_at.timestamp() for e in events} == {clock.time()}


def test_poison_is_sent_as_it_was(sending, sent, record):
    rewriting = Rewriting(id_suffix="-again")
    replace(sending, rewriting=rewriting).send([record(b"poison")], lambda n: None)
    assert sent.records[0].value == b"poison"


def test_chosen_visits_alone_are_sent_and_all_updates(sending, sent, logged):
    chosen = Selection(visits=frozenset({999}))
    assert replace(sending, selection=chosen).send(logged, lambda n: None) == 1
    assert sent.records[0].topic == "other.template-update"
    all_of_them = Selection(visits=frozenset({7}))
    assert replace(sending, selection=all_of_them).send(logged, lambda n: None) == 3


def test_a_shadow_can_be_fed(sending, sent, logged):
    shadow = Topics("streamdiff.shadow.", "streamdiff.")
    replace(sending, topics=shadow).send(logged, lambda n: None)
    assert {r.topic for r in sent.records} == {
        "streamdiff.visit-ready",
        "streamdiff.template-update",
    }
