"""What the chaos happens to: a small survey, a plugin that misbehaves, a stream."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random

from confluent_kafka.admin import AdminClient, NewTopic
from prometheus_client import CollectorRegistry

from streamdiff.adapters.avro.events import decode_event, encode_event, message_key
from streamdiff.adapters.clock import SystemClock
from streamdiff.adapters.kafka import KafkaTransport
from streamdiff.adapters.memory import MemoryBroker, MemoryTransport
from streamdiff.adapters.workers import InlineExecutor
from streamdiff.app.demo.files import template_update, write_exposures
from streamdiff.app.environment import find_plugins
from streamdiff.app.service import Service
from streamdiff.app.topics import Topics
from streamdiff.app.worker import make_handler
from streamdiff.config import from_tree
from streamdiff.metrics import Metrics
from streamdiff.model import VisitReady
from streamdiff.ports import OutgoingRecord
from streamdiff.stream.health import Health
from streamdiff.testing import Population, Survey

TOPICS = Topics("streamdiff.")
NAMES = (
    TOPICS.visit_ready,
    TOPICS.template_update,
    TOPICS.visit_processed,
    TOPICS.template_rebuilt,
    TOPICS.dead_letter,
    TOPICS.alerts(0, ""),
)
PARTITIONS = 12
DETECTORS = 40  # keys, spread over the partitions
POISON_EVERY = 25
MEASURE = ("psf_flux", "aperture_flux", "centroid", "pixel_flags")
HANG, CRASH = 90_000_000, 80_000_000  # visit numbers from which the plugin misbehaves

MISBEHAVIOUR = f'''
"""A measurer that never returns, or ends its process, for some visits."""
import ctypes, time
from dataclasses import dataclass
from streamdiff.hookspecs import hookimpl

@dataclass(frozen=True)
class Misbehaviour:
    columns = ()

    def measure(self, sources, images):
        visit = images.difference.id.visit
        if visit >= {HANG}:
            time.sleep(3600)
        if visit >= {CRASH}:
            ctypes.string_at(0)
        return {{}}

@hookimpl
def streamdiff_measurers():
    return {{"misbehaviour": Misbehaviour}}
'''


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The events, in the order that they are published in.

    Attributes
    ----------
    events : tuple of VisitReady or bytes
        Bytes are poison.
    n_alerts : mapping of str to int
        Alerts of each event that can be processed.
    bad : frozenset of str
        The events that end a worker, or never end.
    """

    events: tuple[VisitReady | bytes, ...]
    n_alerts: dict[str, int]
    bad: frozenset[str]

    @property
    def good(self):
        """Return the events that can be processed."""
        return [
            event
            for event in self.events
            if isinstance(event, VisitReady) and event.event_id not in self.bad
        ]

    @property
    def n_poison(self):
        return sum(isinstance(event, bytes) for event in self.events)


def build(folder: Path, side: int = 200) -> tuple[VisitReady, ...]:
    """Write images, templates and the plugin; return an event of each image."""
    survey = Survey(
        shape=(side, side),
        n_epochs=3,
        n_visits=4,
        density_per_mpx=1500,
        galaxies=1,
        rotation_deg=0.2,
        dither=4,
        population=Population(
            transients=3, hosted=0, vanished=0, variables=0, movers=0
        ),
        seed=3,
    )
    write = partial(write_exposures, folder=folder / "images", tick=lambda: None)
    epochs = list(write(survey.template_exposures()))
    visits = tuple(write(survey.visits()))
    answers(folder, [template_update(epochs)])
    info = folder / "plugin" / "misbehaviour-1.dist-info"
    info.mkdir(parents=True)
    (folder / "plugin" / "misbehaviour.py").write_text(MISBEHAVIOUR)
    (info / "METADATA").write_text("Name: misbehaviour\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[streamdiff]\nmisbehaviour = misbehaviour\n"
    )
    return visits


def tree(folder: Path, catalogue: str = "", **stream):
    """Return the configuration of a service; with a catalogue it associates."""
    associating = {"associate": "nearest"} if catalogue else {}
    return {
        "catalogue": {"url": catalogue} if catalogue else {},
        "stream": {"transport": "memory", "http": "", **stream},
        "store": {
            "uri": (folder / "templates").as_uri(),
            "skymap": {"patch_pixels": 850},
        },
        "input": {"roots": [(folder / "images").as_uri()]},
        "pipeline": {
            "measure": list(MEASURE),
            # few stars fix the kernel of so small an image: not what is tested here
            "max_residual_mean": 100.0,
            "max_residual_stdev": 100.0,
            **associating,
        },
    }


def answers(folder: Path, events, catalogue: str = ""):
    """Return the reports on events, without a stream and without chaos."""
    settings = from_tree(tree(folder, catalogue))
    broker = MemoryBroker({}, clock=SystemClock())
    for event in events:
        is_visit = isinstance(event, VisitReady)
        topic = TOPICS.visit_ready if is_visit else TOPICS.template_update
        broker.produce(
            OutgoingRecord(
                topic=topic, key=message_key(event), value=encode_event(event)
            )
        )
    service = Service(
        settings=settings,
        registry=find_plugins(),
        transport=MemoryTransport(broker),
        metrics=Metrics(CollectorRegistry()),
    )
    executor = InlineExecutor(partial(make_handler, settings))
    service.runtime(Health(SystemClock()), executor).run_until_idle()
    assert not broker.records(TOPICS.dead_letter)
    return [decode_event(r) for r in broker.records(TOPICS.visit_processed)]


def make_plan(
    folder: Path, images, number: int, random: Random, misbehaving=(HANG, CRASH)
) -> Plan:
    """Return events of so many visits, with poison and bad ones among them."""
    n_alerts = {report.visit: report.n_alerts for report in answers(folder, images)}
    assert all(n_alerts.values()), "every image is to have alerts"
    places = random.sample(range(number), len(misbehaving))
    misbehaved = dict(zip(places, misbehaving, strict=True))
    events, expected, bad = [], {}, set()
    for rank in range(number):
        image = images[rank % len(images)]
        visit = misbehaved.get(rank, 1000) + rank
        event = replace(
            image,
            event_id=f"visit-{visit}",
            visit=visit,
            detector=random.randrange(DETECTORS),
            midpoint_mjd_tai=image.midpoint_mjd_tai + rank / 100,
            published_at=datetime.now(UTC),
        )
        events.append(event)
        if rank in misbehaved:
            bad.add(event.event_id)
        else:
            expected[event.event_id] = n_alerts[image.visit]
        if rank % POISON_EVERY == POISON_EVERY // 2:
            events.append(b"poison %d" % rank)
    return Plan(events=tuple(events), n_alerts=expected, bad=frozenset(bad))


def create_topics(brokers: str) -> None:
    """Create all topics, inputs and outputs with the same number of partitions."""
    admin = AdminClient({"bootstrap.servers": brokers})
    made = admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in NAMES])
    for topic in made.values():
        topic.result()


def publish(brokers: str, plan: Plan) -> None:
    """Publish all events."""
    producer = KafkaTransport(brokers=brokers).producer()
    producer.send(
        [
            OutgoingRecord(topic=TOPICS.visit_ready, key=b"poison", value=event)
            if isinstance(event, bytes)
            else OutgoingRecord(
                topic=TOPICS.visit_ready,
                key=message_key(event),
                value=encode_event(event),
            )
            for event in plan.events
        ]
    )
    producer.close()
