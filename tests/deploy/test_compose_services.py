"""The services of the compose file at work: as processes, with a real Kafka."""

import json
import os
import re
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import pytest
from compose_stack import KAFKA, OURS, PROMETHEUS, SMALLER, Stack
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from streamdiff.adapters.fits.exposure import encode_exposure
from streamdiff.adapters.kafka import KafkaTransport
from streamdiff.app.demo.collector import Collector
from streamdiff.app.topics import topics_of
from streamdiff.app.wiring import sky_map
from streamdiff.config import load
from streamdiff.model import Outcome
from streamdiff.testing import PointSource, Scene

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]
PATIENCE_S = 300
CONFIG = "/etc/streamdiff/streamdiff.toml"
IS_ROOT = os.geteuid() == 0 and shutil.which("unshare") is not None
SKY = Scene.star_field(shape=(160, 160), density_per_mpx=2000, seed=4)


def until(met, processes=()):
    """Wait for something to be true; a process that ends before is an error."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := met()):
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes)
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def stack(kafka_jars, deploy):
    """Give the stack, all its services started in their order, and ready."""
    with (
        # that other users can reach, as those of pytest can not
        tempfile.TemporaryDirectory() as folder,
        Stack(folder=Path(folder), deploy=deploy, sandboxed=IS_ROOT) as stack,
    ):
        stack.folder.chmod(0o755)
        for name in stack.order():
            start(stack, name)
        yield stack


def start(stack, name):
    """Start a service, and wait for what those behind it wait for."""
    image = stack.services[name]["image"].partition(":")[0]
    if image not in {KAFKA, OURS, PROMETHEUS} or (
        image == PROMETHEUS and not shutil.which("prometheus")
    ):
        return
    stack.start(name)
    if name == "topics":
        assert stack.processes[name].wait(PATIENCE_S) == 0, stack.log(name).read_text()
        return
    living = [stack.processes[name]]
    if name == "kafka":
        until(lambda: stack.is_healthy(name), living)
    if image == OURS:
        until(lambda: stack.fetch(name, "/readyz"), living)


@pytest.fixture(scope="module")
def settings(stack):
    """Return the configuration of each of our services, as it runs."""
    path = Path(stack.here(CONFIG))
    return {name: load(path, stack.environment(name)) for name in stack.named(OURS)}


def test_nothing_differs_but_what_a_container_is_given(stack, settings, deploy):
    for name, running in settings.items():
        own = stack.services[name]["environment"]
        declared = load(
            deploy / "streamdiff.toml", stack.image.environment | own | SMALLER
        ).model_dump()
        table = {
            "stream": {"brokers", "http"},
            "store": {"uri"},
            "input": {"roots"},
        }
        for section, values in running.model_dump().items():
            changed = {k for k, v in values.items() if v != declared[section][k]}
            assert changed == table.get(section, set()), section
            for key in changed:
                text = json.dumps(declared[section][key])
                assert json.dumps(values[key]) == stack.here(text, name)


def test_what_stands_for_a_mount_is_mounted_or_in_the_image(stack):
    mounted = {"/etc/streamdiff", "/data", "/tmp"}  # noqa: S108 - of a container
    for service in stack.services.values():
        volumes = [v.rpartition(":ro")[0] or v for v in service.get("volumes", ())]
        mounted |= {v.rpartition(":")[2] for v in volumes}
        mounted |= {t.partition(":")[0] for t in service.get("tmpfs", ())}
    assert set(stack.mounts) <= mounted


def test_records_of_kafka_are_kept_in_its_volume(stack):
    (folder,) = Path(stack.here("/var/lib/kafka/data")).glob("streamdiff.visit-ready-0")
    assert any(folder.glob("*.log"))


def test_all_checks_that_are_declared_succeed(stack):
    for name in ("kafka", *stack.named(OURS)):
        assert stack.is_healthy(name), stack.log(name).read_text()


@pytest.mark.skipif(not IS_ROOT, reason="needs root, to take rights away")
def test_the_services_run_without_root_and_on_a_read_only_root(stack):
    user = stack.image.user
    for name in stack.named(OURS):
        process = stack.processes[name]
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert f"Uid:\t{user}\t{user}" in status
        assert "CapEff:\t0000000000000000" in status
        mounts = Path(f"/proc/{process.pid}/mounts").read_text().splitlines()
        (options,) = {m.split()[3] for m in mounts if m.split()[1] == "/"}
        assert "ro" in options.split(",")


def test_machine_code_is_kept(stack):
    cache = Path(stack.here(stack.image.environment["NUMBA_CACHE_DIR"]))
    assert list(cache.glob("**/*.nbc"))
    for name in stack.named(OURS):
        assert "cannot be cached" not in stack.log(name).read_text()


@pytest.fixture(scope="module")
def admin(stack):
    return AdminClient({"bootstrap.servers": stack.address("kafka"), "log_level": 2})


@pytest.fixture(scope="module")
def results(stack, settings, admin):
    """Return what a reader of committed records sees of two visits, one a service."""
    first = stack.named(OURS)[0]
    topics = topics_of(settings[first])
    shared = until(lambda: shares(admin, settings[first].stream.group, topics))
    new = SKY.add(PointSource(60, 70, 3e4))
    epochs = [SKY.observe(fwhm=2.6, seed=n, visit=n) for n in range(1, 4)]
    seen = new.observe(fwhm=3.2, seed=9, visit=9)
    detectors = map(detector_of, shared)
    visits = [replace(seen, id=replace(seen.id, detector=n)) for n in detectors]
    readable = {"isolation.level": "read_committed"}
    transport = KafkaTransport(brokers=stack.address("kafka"), options=readable)
    with Collector(transport, [topics]) as results:
        publish(stack, "template-update", epochs)
        skymap = sky_map(settings[first])
        patches = {p for e in epochs for p in skymap.patches_touching(e.wcs, e.shape)}
        wait_for(results, lambda: len(results.templates) == len(patches))
        publish(stack, "visit-ready", visits)
        wait_for(results, lambda: len(results.visits) == len(visits))
        n = sum(visit.n_alerts for visit in results.visits)
        wait_for(results, lambda: len(results.alerts) >= n)
        yield results


def wait_for(results, met):
    results.wait_for(
        lambda: met() or results.dead_letters, timeout_s=PATIENCE_S, what="results"
    )
    assert results.dead_letters == []


def shares(admin, group, topics):
    """Return the partitions of visits that each member has, once both have some."""
    found = admin.describe_consumer_groups([group])[group].result()
    members = [
        {
            p.partition
            for p in member.assignment.topic_partitions
            if p.topic == topics.visit_ready
        }
        for member in found.members
    ]
    return members if len(members) == 2 and all(members) else None


def detector_of(share):
    """Return a detector whose visits come to one of these partitions."""
    return next(n for n in range(256) if crc32(f"SimCam/{n}".encode()) % 12 in share)


def publish(stack, kind, exposures):
    """Do what an operator does in a container."""
    names = []
    for exposure in exposures:
        identity = exposure.exposure_id
        names.append(f"/data/{identity.visit}-{identity.detector}.fits")
        Path(stack.here(names[-1])).write_bytes(encode_exposure(exposure))
    name = stack.named(OURS)[0]
    command = ["streamdiff", "publish", kind, "-c", CONFIG, *names]
    assert stack.run(name, *command) == 0, stack.log(name).read_text()


def test_each_service_processes_its_visit_and_each_alert_comes_once(stack, results):
    assert {end.outcome for end in results.templates} == {Outcome.PROCESSED}
    assert [end.outcome for end in results.visits] == [Outcome.PROCESSED] * 2
    ids = [alert["diaSourceId"] for alert in results.alerts]
    assert len(set(ids)) == len(ids) == sum(end.n_alerts for end in results.visits) > 0
    for name in stack.named(OURS):
        told = stack.fetch(name, "/metrics")
        assert re.search(
            r'^streamdiff_events_total{.*visit-ready"} 1\.0$', told, re.MULTILINE
        )


@pytest.mark.skipif(not shutil.which("prometheus"), reason="no prometheus to run")
def test_prometheus_finds_both_services_and_reads_the_alarms(stack, results, documents):
    def up():
        found = json.loads(stack.fetch("prometheus", "/api/v1/targets"))
        return [
            target["labels"]["instance"]
            for target in found["data"]["activeTargets"]
            if target["health"] == "up"
        ]

    until(lambda: len(up()) == 2, [stack.processes["prometheus"]])
    assert sorted(up()) == sorted(stack.address(name) for name in stack.named(OURS))
    rules = json.loads(stack.fetch("prometheus", "/api/v1/rules"))["data"]["groups"]
    (groups,) = documents("prometheus/alarms.yml")
    assert [r["name"] for group in rules for r in group["rules"]] == [
        r["alert"] for group in groups["groups"] for r in group["rules"]
    ]


def test_all_leave_within_the_time_they_are_granted_and_nothing_is_lost(
    stack, settings, results, admin
):
    names = stack.named(OURS)
    (grace,) = {stack.services[name]["stop_grace_period"] for name in names}
    codes = [stack.stop(name, 60 * int(grace.removesuffix("m"))) for name in names]
    assert codes == [0, 0], [stack.log(name).read_text() for name in names]
    group = settings[names[0]].stream.group
    topic = topics_of(settings[names[0]]).visit_ready
    parts = [TopicPartition(topic, n) for n in range(12)]
    asked = {p: OffsetSpec.latest() for p in parts}
    ends = {
        p.partition: found.result().offset
        for p, found in admin.list_offsets(asked).items()
    }
    (future,) = admin.list_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(group, parts)]
    ).values()
    committed = {
        p.partition: max(p.offset, 0) for p in future.result().topic_partitions
    }
    assert committed == ends
    assert sum(ends.values()) == len(results.visits)
