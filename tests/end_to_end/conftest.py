"""A small survey, and the real service over a stream in memory."""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from streamdiff.adapters.avro.events import decode_event, encode_event, message_key
from streamdiff.adapters.clock import SystemClock
from streamdiff.adapters.memory import MemoryBroker, MemoryTransport
from streamdiff.adapters.workers import InlineExecutor
from streamdiff.app.demo.files import template_update, write_exposures
from streamdiff.app.environment import find_plugins
from streamdiff.app.service import Service
from streamdiff.app.topics import Topics
from streamdiff.app.worker import make_handler
from streamdiff.config import from_tree
from streamdiff.imaging.background import blank_pixels
from streamdiff.metrics import Metrics
from streamdiff.model import UNUSABLE, MaskPlane
from streamdiff.model.psf import fwhm
from streamdiff.ports import OutgoingRecord
from streamdiff.stream.health import Health
from streamdiff.testing import Population, Survey
from streamdiff_detection.saturation import in_wings

TOPICS = Topics("streamdiff.")

# what is not a test is shared by the test files of this folder, which are no package
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def survey():
    """Three epochs and a visit with three transients, on one patch of the sky."""
    return Survey(
        shape=(256, 256),
        n_epochs=3,
        n_visits=1,
        density_per_mpx=900,
        galaxies=2,
        rotation_deg=0.2,
        dither=4,
        population=Population(
            transients=3, hosted=0, vanished=0, variables=0, movers=0
        ),
        epoch_cosmic_rays=1,
        seed=3,
    )


@pytest.fixture(scope="session")
def images(survey, tmp_path_factory):
    """Return the folder, and the events of the epochs and of the visit."""
    folder = tmp_path_factory.mktemp("survey") / "images"
    write = partial(write_exposures, folder=folder, tick=lambda: None)
    epochs = list(write(survey.template_exposures()))
    (visit,) = write(survey.visits())
    return folder, epochs, visit


@pytest.fixture(scope="session")
def settings(images):
    """Return a configuration whose store has templates of the epochs."""
    folder, epochs, _ = images
    made = from_tree(
        {
            "stream": {"transport": "memory", "http": ""},
            "store": {
                "uri": (folder.parent / "templates").as_uri(),
                "skymap": {"patch_pixels": 850},
            },
            "input": {"roots": [folder.as_uri()]},
        }
    )
    stream = Stream(made)
    stream.send(TOPICS.template_update, template_update(epochs))
    stream.run()
    assert not stream.dead_letters()
    return made


class Stream:
    """The service over topics in memory, run until nothing is left to do."""

    def __init__(self, settings):
        self.settings = settings
        self.broker = MemoryBroker({}, clock=SystemClock())

    def send(self, topic, event):
        self.send_raw(topic, encode_event(event), message_key(event))

    def send_raw(self, topic, value, key=None, headers=()):
        self.broker.produce(
            OutgoingRecord(topic=topic, key=key, value=value, headers=headers)
        )

    def run(self):
        service = Service(
            settings=self.settings,
            registry=find_plugins(),
            transport=MemoryTransport(self.broker),
            metrics=Metrics(CollectorRegistry()),
        )
        executor = InlineExecutor(partial(make_handler, self.settings))
        service.runtime(Health(SystemClock()), executor).run_until_idle()

    def reports(self, topic=TOPICS.visit_processed):
        """Return the decoded reports of a topic by the id of their event."""
        return {
            report.event_id: report
            for report in map(decode_event, self.broker.records(topic))
        }

    def alerts(self):
        return self.broker.records(TOPICS.alerts(0, ""))

    def dead_letters(self):
        return self.broker.records(TOPICS.dead_letter)


@pytest.fixture(scope="session")
def new_stream(settings):
    """Return how to start the service over an empty stream."""
    return lambda: Stream(settings)


@pytest.fixture(scope="session")
def visit(images):
    """Return the event of the visit, with changes."""
    return lambda **changes: replace(images[2], **changes)


# Wings of saturated stars, as the finder has them: in FWHM, and over the root of the
# saturated area.
WINGS_FWHM, WINGS_GROWTH = 2.0, 1.0


@pytest.fixture(scope="session")
def blank_sky():
    """Return a function that tells where a result shows neither sources nor defects.

    That is where the template shows sky alone, 3 FWHM from a given position, and not
    on masked pixels, trails, wings of saturated stars, or the border.
    """

    def blank(result, x, y):
        difference = result.products.images.difference
        template = result.products.images.template
        rows, columns = np.indices(difference.shape).reshape(2, -1).astype(float)
        width = fwhm(difference.psf.centred_at(x, y))
        wings = in_wings(
            columns,
            rows,
            difference.mask,
            least=WINGS_FWHM * width,
            growth=WINGS_GROWTH,
        )
        excluded = wings | (np.hypot(columns - x, rows - y) < 3 * width)
        excluded = excluded.reshape(difference.shape) | (difference.score == 0)
        planes = UNUSABLE | MaskPlane.SAT_TEMPLATE | MaskPlane.EDGE | MaskPlane.STREAK
        excluded |= planes.in_mask(difference.mask)
        return blank_pixels(template.image, excluded)

    return blank
