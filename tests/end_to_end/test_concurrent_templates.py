"""Many updates and visits at once, in any order, and workers that die of them."""

import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from prometheus_client import CollectorRegistry

from streamdiff.adapters.avro.events import encode_event
from streamdiff.adapters.clock import SystemClock
from streamdiff.adapters.embedded import EmbeddedBroker
from streamdiff.adapters.fits.celestial import wcs_header
from streamdiff.adapters.workers import WorkerPool
from streamdiff.app import wiring
from streamdiff.app.demo.collector import Collector
from streamdiff.app.demo.files import write_exposures
from streamdiff.app.environment import find_plugins
from streamdiff.app.service import Service, embedded_partitions
from streamdiff.app.topics import Topics
from streamdiff.config import from_tree
from streamdiff.metrics import Metrics
from streamdiff.model import Action, Outcome, Reason, TemplateId, TemplateUpdate
from streamdiff.ports import OutgoingRecord
from streamdiff.stream.health import Health
from streamdiff.testing import Scene

pytestmark = pytest.mark.timeout(300)

SIDE, OVERLAP = 80, 10
SKY = Scene.star_field(shape=(SIDE, 2 * SIDE), density_per_mpx=3000, seed=2)
N_EPOCHS, N_UPDATES, N_VISITS = 10, 100, 100
PATCHES = (0, 1)
TOPICS = Topics("streamdiff.")
# Versions whose writer dies: in the middle of the coadd, before the manifest, and
# after it, before anyone is told.
DEATHS = {3: "coadd", 6: "manifest", 9: "told"}

DYING_WORKER = """
import os, signal
from pathlib import Path

from streamdiff.adapters import folder, whole_file
from streamdiff.app.worker import start_worker

DEATHS, MARKS = {deaths}, Path("{marks}")


def die(path, step):
    version = path.rsplit("/", 2)[-2]
    if DEATHS.get(version) == step:
        try:
            (MARKS / version).touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


def start(settings):
    handler = start_worker(settings, log_level="error")
    fsync, create, write = os.fsync, folder.Folder.create, folder.Folder.write
    written = []

    def noted_write(self, path, content):
        written[:] = [path]
        write(self, path, content)

    def noted_create(self, path, content):
        die(path, "manifest")
        written[:] = ["-/-/-"]
        made = create(self, path, content)
        die(path, "told")
        return made

    def dying_fsync(number):
        die(written[0], "coadd")
        fsync(number)

    folder.Folder.write, folder.Folder.create = noted_write, noted_create
    whole_file.os.fsync = dying_fsync
    return handler
"""


@dataclass(frozen=True)
class Run:
    """What came of all events."""

    settings: object
    updates: list
    visits: list
    results: Collector
    metrics: Metrics


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("concurrent")


@pytest.fixture(scope="module")
def epochs(work):
    """Return the events of exposures that touch both patches."""
    exposures = (
        SKY.observe(
            seed=n, visit=n, mjd=61000.0 + n, wcs=SKY.dithered_wcs(dx=0.3 * n, dy=0.1)
        )
        for n in range(1, N_EPOCHS + 1)
    )
    return list(write_exposures(exposures, work / "images", lambda: None))


@pytest.fixture(scope="module")
def tiles(work):
    """Write two tiles side by side, and return the path."""
    hdus = [fits.PrimaryHDU()]
    for patch in PATCHES:
        wcs = SKY.wcs.deepcopy()
        wcs.wcs.crpix -= [patch * (2 * SIDE - SIDE - OVERLAP), 0]
        header = wcs_header(wcs)
        header.update({"IMAGEW": SIDE + OVERLAP, "IMAGEH": SIDE, "PATCH": patch})
        hdus.append(fits.ImageHDU(header=header))
    path = work / "tiles.fits"
    fits.HDUList(hdus).writeto(path)
    return path


def configured(work, tiles, store):
    return from_tree(
        {
            "stream": {
                "transport": "embedded",
                "http": "",
                "workers": 3,
                "max_attempts": 5,
            },
            "store": {"uri": (work / store).as_uri(), "skymap": {"tiles": str(tiles)}},
            "input": {"roots": [(work / "images").as_uri()]},
            "pipeline": {"subtract": "zogy", "measure": ["psf_flux"]},
        }
    )


def update(patch, exposures, event_id):
    return TemplateUpdate(
        event_id=event_id,
        tract=0,
        patch=patch,
        band=exposures[0].band,
        action=Action.ADD,
        exposures=tuple(exposures),
        published_at=datetime.now(UTC),
    )


def draw_updates(epochs, rng):
    """Return updates that together add every epoch to both patches; half of them
    are delivered twice.
    """
    each = [[(patch, [e]) for e in epochs] for patch in PATCHES]
    more = [
        (int(rng.choice(PATCHES)), [epochs[i] for i in rng.permutation(N_EPOCHS)[:2]])
        for _ in range(N_UPDATES // 2 - 2 * N_EPOCHS)
    ]
    chosen = [
        update(patch, exposures, f"update-{number}")
        for number, (patch, exposures) in enumerate([*each[0], *each[1], *more])
    ]
    return chosen + chosen


@contextmanager
def running(settings, broker, executor, metrics):
    service = Service(
        settings=settings,
        registry=find_plugins(),
        transport=broker.transport(),
        metrics=metrics,
    )
    runtime = service.runtime(Health(SystemClock()), executor)
    thread = threading.Thread(target=runtime.run)
    thread.start()
    try:
        yield
    finally:
        runtime.stop()
        thread.join()


@pytest.fixture(scope="module")
def run(work, epochs, tiles):
    """Send everything in random order, each event to whichever worker."""
    rng = np.random.default_rng(1)
    settings = configured(work, tiles, "templates")
    updates = draw_updates(epochs, rng)
    visits = [
        replace(epochs[rng.integers(N_EPOCHS)], event_id=f"visit-{n}", visit=n)
        for n in range(1000, 1000 + N_VISITS)
    ]
    events = [*updates, *visits]
    metrics = Metrics(CollectorRegistry())
    (work / "marks").mkdir()
    deaths = {f"v{version:06d}": step for version, step in DEATHS.items()}
    module = work / "dying_worker.py"
    module.write_text(DYING_WORKER.format(deaths=deaths, marks=work / "marks"))
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.syspath_prepend(work)
        start = import_module("dying_worker").start
        pool = WorkerPool(partial(start, settings), workers=settings.stream.workers)
        broker = stack.enter_context(EmbeddedBroker(embedded_partitions(settings)))
        results = stack.enter_context(Collector(broker.transport(), [TOPICS]))
        stack.enter_context(running(settings, broker, pool, metrics))
        send(broker, [events[i] for i in rng.permutation(len(events))])
        results.wait_for(
            lambda: len(results.visits) + len(results.templates) == len(events),
            timeout_s=240,
            what="results",
        )
    return Run(settings, updates, visits, results, metrics)


def send(broker, events):
    producer = broker.transport().producer()
    records = [
        OutgoingRecord(
            topic=TOPICS.template_update
            if isinstance(event, TemplateUpdate)
            else TOPICS.visit_ready,
            # Not by patch: its updates come at the same time.
            key=b"%d" % number,
            value=encode_event(event),
        )
        for number, event in enumerate(events)
    ]
    producer.send(records)
    producer.close()


def test_every_event_has_its_report(run):
    assert not run.results.dead_letters
    told = sorted(report.event_id for report in run.results.templates)
    assert told == sorted(event.event_id for event in run.updates)
    told = sorted(report.event_id for report in run.results.visits)
    assert told == sorted(event.event_id for event in run.visits)


def test_a_worker_that_dies_while_it_writes_costs_one_attempt(run):
    lost = run.metrics.registry.get_sample_value(
        "streamdiff_workers_lost_total", {"reason": "worker_died"}
    )
    assert lost == len(DEATHS)
    reasons = {report.reason for report in run.results.templates}
    assert reasons <= {None, Reason.INSUFFICIENT_EPOCHS}


def test_visits_use_versions_that_were_complete_when_they_were_read(run):
    store = wiring.template_store(run.settings)
    root = Path(run.settings.store.uri.removeprefix("file://"))
    used = [(report, use) for report in run.results.visits for use in report.templates]
    assert len({(use.template_id, use.version) for _, use in used}) > 5
    for report, use in used:
        coadd = store.load(TemplateId.parse(use.template_id), use.version)
        assert coadd.n_image.max() >= 3
        manifest = root / use.template_id / f"v{use.version:06d}" / "manifest.json"
        written = datetime.fromtimestamp(manifest.stat().st_mtime, UTC)
        assert written < report.finished_at
    assert {report.outcome for report, _ in used} == {Outcome.PROCESSED}


@pytest.mark.parametrize("patch", PATCHES)
def test_the_last_coadds_are_those_of_a_single_build(run, work, epochs, tiles, patch):
    settings = configured(work, tiles, "single")
    registry, files = find_plugins(), wiring.rooted_files(settings)
    single = wiring.template_store(settings)
    pipeline = wiring.template_pipeline(settings, registry, files, single)
    result = pipeline(update(patch, epochs, "all"))
    store = wiring.template_store(run.settings)
    last = store.load(result.template_id, store.newest(result.template_id))
    whole = single.load(result.template_id, result.version)
    assert last.inputs == whole.inputs
    for plane in ("image", "variance", "mask"):
        np.testing.assert_array_equal(
            getattr(last.exposure, plane), getattr(whole.exposure, plane)
        )


def test_an_update_delivered_twice_makes_one_version(run):
    versions = {}
    for report in run.results.templates:
        if report.outcome is Outcome.PROCESSED:
            versions.setdefault(report.event_id, set()).add(report.version)
    assert {len(made) for made in versions.values()} == {1}
