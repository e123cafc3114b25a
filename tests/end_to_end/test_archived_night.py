"""A night on a broker, archived by the recorder, and replayed in this process."""

from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import pytest

from streamdiff.adapters.archive.folder import RollLimits
from streamdiff.adapters.archive.verify import verify
from streamdiff.adapters.avro import wire
from streamdiff.adapters.avro.container import read_alerts
from streamdiff.adapters.embedded import EmbeddedBroker
from streamdiff.adapters.event_log import log_files, read_log
from streamdiff.adapters.workers import InlineExecutor
from streamdiff.app.decoding import Decoding
from streamdiff.app.demo.collector import Collector
from streamdiff.app.demo.run import running_service, send_events
from streamdiff.app.environment import find_plugins
from streamdiff.app.progress import Silent
from streamdiff.app.recording import record, recorded_topics
from streamdiff.app.replay.events import EventLog, Selection
from streamdiff.app.replay.run import replay_settings, run_replay
from streamdiff.app.replay.worker import make_replay_handler
from streamdiff.app.service import embedded_partitions
from streamdiff.app.topics import topics_of

N_VISITS = 3
PATIENCE_S = 240


@pytest.fixture(
    params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)], scope="module"
)
def broker(request, settings):
    """Return a transport, and the configuration of a service on it."""
    with ExitStack() as stack:
        if request.param == "kafka":
            cluster = request.getfixturevalue("kafka")
            name = cluster.new_name()
            stream = {
                "topic_prefix": f"{name}.",
                "group": name,
                "delivery": "exactly_once",
            }
            stream |= {"transport": "kafka", "brokers": cluster.bootstrap}
        else:
            stream = {"transport": "embedded", "delivery": "at_least_once"}
        changed = settings.stream.model_copy(update=stream)
        chosen = settings.model_copy(update={"stream": changed})
        if request.param == "kafka":
            cluster.create(embedded_partitions(chosen))
            transport = cluster.transport()
        else:
            embedded = EmbeddedBroker(embedded_partitions(chosen))
            transport = stack.enter_context(embedded).transport()
        yield transport, chosen


@pytest.fixture(scope="module")
def archive(broker, images, tmp_path_factory):
    """Return the folder of an archive of all topics of a night."""
    transport, settings = broker
    topics = topics_of(settings)
    visits = [
        replace(images[2], event_id=f"v{n}", visit=700 + n, detector=n)
        for n in range(N_VISITS)
    ]
    with (
        Collector(transport, [topics]) as results,
        running_service(settings, find_plugins(), transport, results),
    ):
        send_events(transport, topics.visit_ready, visits)
        results.wait_for(
            lambda: len(results.visits) == N_VISITS,
            timeout_s=PATIENCE_S,
            what="visits",
        )
        n_alerts = sum(report.n_alerts for report in results.visits)
        results.wait_for(
            lambda: len(results.alerts) == n_alerts,
            timeout_s=PATIENCE_S,
            what="alerts",
        )
    folder = tmp_path_factory.mktemp("archive")
    record(
        settings,
        transport,
        folder,
        topics=recorded_topics(settings),
        limits=RollLimits(),
        until_idle_s=2.0,
    )
    return folder, n_alerts


def test_the_archive_is_whole(archive):
    assert verify(log_files([archive[0]])).is_whole


def test_its_replay_gives_the_same_alerts_byte_for_byte(archive, broker, tmp_path):
    folder, n_alerts = archive
    _, settings = broker
    topic = topics_of(settings).alerts(0, "")
    logged = [r for file in log_files([folder]) for r in read_log(file)]
    sent = [r.value for r in logged if r.topic == topic]
    assert len(sent) == len(set(sent)) == n_alerts > 0
    chosen = replay_settings(settings, tmp_path)
    made = run_replay(
        EventLog.at([folder], Decoding(), Selection()),
        chosen,
        InlineExecutor(partial(make_replay_handler, chosen)),
        Silent(),
    )
    assert made.outcomes == {"processed": N_VISITS}
    again = [
        wire.encode("alert", alert)
        for path in sorted(tmp_path.glob("*.avro"))
        for alert in read_alerts(path)
    ]
    assert sorted(again) == sorted(sent)


def test_the_log_of_a_killed_recorder_can_be_replayed(archive, tmp_path):
    (log,) = log_files([archive[0]])
    # No index, and the end of the last block has not reached the disk.
    cut = tmp_path / log.name
    cut.write_bytes(log.read_bytes()[:-20])
    visits = list(EventLog.at([tmp_path], Decoding(), Selection()).visits())
    assert len(visits) <= N_VISITS
