"""The demo's survey as an archived night: are its alerts the same, byte for byte?

``python tests/benchmarks/demo_night.py`` processes the survey on the embedded broker
and on a real Kafka, archives all topics, and replays each archive in this process and
with 1, 2 and 4 workers. Exit code 1 if any alert differs: from what was sent in
anything that does not depend on the order of processing (``live_order`` in the
schemas), or from another replay in anything at all.
"""

import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from operator import itemgetter
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic
from rich.console import Console

from streamdiff.adapters.archive.folder import RollLimits
from streamdiff.adapters.avro import wire
from streamdiff.adapters.avro.container import read_alerts
from streamdiff.adapters.avro.schemas import live_order_fields
from streamdiff.adapters.embedded import EmbeddedBroker
from streamdiff.adapters.event_log import log_files, read_log
from streamdiff.adapters.kafka import KafkaTransport
from streamdiff.adapters.workers import InlineExecutor
from streamdiff.app.decoding import Decoding
from streamdiff.app.demo.collector import Collector
from streamdiff.app.demo.files import template_update, write_exposures
from streamdiff.app.demo.run import running_service, send_events
from streamdiff.app.demo.settings import demo_settings
from streamdiff.app.environment import find_plugins
from streamdiff.app.progress import Silent
from streamdiff.app.recording import record, recorded_topics
from streamdiff.app.replay.associate import SerialAssociation
from streamdiff.app.replay.events import EventLog, Selection
from streamdiff.app.replay.run import pool, replay_settings, run_replay
from streamdiff.app.replay.worker import make_replay_handler
from streamdiff.app.service import embedded_partitions
from streamdiff.app.topics import topics_of
from streamdiff.app.wiring import sky_map
from streamdiff.config import Settings
from streamdiff.testing import Survey
from streamdiff.testing.kafka_broker import KafkaBroker

SURVEY = Survey()
PATIENCE_S = 1200
LIVE_ORDER = live_order_fields("alert")


def on_kafka(settings: Settings, brokers: str) -> Settings:
    stream = settings.stream.model_copy(
        update={
            "transport": "kafka",
            "brokers": brokers,
            "delivery": "exactly_once",
        }
    )
    return settings.model_copy(update={"stream": stream})


def create(brokers: str, partitions: dict[str, int]) -> None:
    admin = AdminClient({"bootstrap.servers": brokers})
    topics = [NewTopic(name, n, 1) for name, n in partitions.items()]
    for made in admin.create_topics(topics).values():
        made.result()


def archived(settings: Settings, transport, folder: Path, *, visits, update, n) -> Path:
    """Process the survey, and return an archive of its topics; n are the patches."""
    topics = topics_of(settings)
    with (
        Collector(transport, [topics]) as results,
        running_service(settings, find_plugins(), transport, results),
    ):
        if update is not None:
            send_events(transport, topics.template_update, [update])
            results.wait_for(
                lambda: len(results.templates) == n,
                timeout_s=PATIENCE_S,
                what="templates",
            )
        send_events(transport, topics.visit_ready, visits)
        results.wait_for(
            lambda: len(results.visits) == len(visits),
            timeout_s=PATIENCE_S,
            what="visits",
        )
    record(
        settings,
        transport,
        folder,
        topics=recorded_topics(settings),
        limits=RollLimits(),
        until_idle_s=3.0,
    )
    return folder


def replayed(settings: Settings, archive: Path, folder: Path, workers=None):
    """Return the alerts of a replay, associated in the order of time."""
    chosen = replay_settings(settings, folder)
    if workers is None:
        executor = InlineExecutor(partial(make_replay_handler, chosen))
    else:
        stream = chosen.stream.model_copy(update={"workers": workers})
        executor = pool(chosen.model_copy(update={"stream": stream}))
    log = EventLog.at([archive], Decoding(), Selection())
    association = SerialAssociation(settings=chosen, registry=find_plugins())
    run_replay(log, chosen, executor, Silent(), associate=association)
    paths = sorted(folder.glob("*.avro"))
    return in_order(alert for path in paths for alert in read_alerts(path))


def in_order(alerts):
    return sorted(alerts, key=itemgetter("diaSourceId"))


def whatever_the_order(alerts):
    """Return alerts without what depends on the order of processing."""
    return [
        {name: value for name, value in flat(alert) if name not in LIVE_ORDER}
        for alert in alerts
    ]


def flat(record, prefix=""):
    """Yield the fields of an alert, by their names in `LIVE_ORDER`."""
    for key, value in record.items():
        name = prefix + key
        if isinstance(value, dict) and name not in LIVE_ORDER:
            yield from flat(value, f"{name}.")
        else:
            yield name, value


def main() -> int:
    console, differ = Console(), 0
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = demo_settings(work, SURVEY)
        images = partial(write_exposures, folder=work / "images", tick=lambda: None)
        epochs = list(images(SURVEY.template_exposures()))
        visits = list(images(SURVEY.visits()))
        patches = {
            patch
            for epoch in SURVEY.template_exposures()
            for patch in sky_map(settings).patches_touching(epoch.wcs, epoch.shape)
        }
        partitions = embedded_partitions(settings)
        # each partition of the embedded broker holds 5 MiB
        partitions[topics_of(settings).alerts(0, "")] = 64
        embedded = stack.enter_context(EmbeddedBroker(partitions))
        kafka = stack.enter_context(KafkaBroker(work))
        create(kafka.bootstrap, partitions)
        nights = {
            "embedded": (settings, embedded.transport()),
            "kafka": (
                on_kafka(settings, kafka.bootstrap),
                KafkaTransport(brokers=kafka.bootstrap),
            ),
        }
        update, n = template_update(epochs), len(patches)
        for name, (chosen, transport) in nights.items():
            archive = archived(
                chosen, transport, work / name, visits=visits, update=update, n=n
            )
            update = None  # both nights have the same templates
            topic = topics_of(chosen).alerts(0, "")
            sent = in_order(
                wire.decode(r.value)[1]
                for file in log_files([archive])
                for r in read_log(file)
                if r.topic == topic
            )
            first = None
            for workers in (None, 1, 2, 4):
                began = time.monotonic()
                again = replayed(chosen, archive, work / f"{name}{workers}", workers)
                first = first or again
                same = again == first
                same &= whatever_the_order(again) == whatever_the_order(sent)
                differ += not same
                console.print(
                    f"{name}: {len(sent)} alerts; replayed with "
                    f"{workers or 'no'} worker processes: "
                    f"{'the same' if same else 'DIFFERENT'}, "
                    f"{time.monotonic() - began:.0f} s"
                )
    return int(differ > 0)


if __name__ == "__main__":
    sys.exit(main())
