"""A worker without a stream: what it makes of hostile bytes, and what is reported."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import pytest
import structlog

from streamdiff.adapters.avro.events import decode_event, encode_event
from streamdiff.adapters.fits.exposure import encode_exposure
from streamdiff.adapters.worker_process import perform
from streamdiff.app.worker import make_handler
from streamdiff.config import from_tree
from streamdiff.errors import UndecodableError
from streamdiff.model import VisitReady
from streamdiff.ports import ConsumedRecord, Failure, WorkOrder
from streamdiff.testing import Scene

TOPIC = "streamdiff.visit-ready"
PROCESSED, LETTER = "streamdiff.visit-processed", "streamdiff.dead-letter"
UNDECODABLE = "undecodable"
MAX_MIB = 8


@dataclass(frozen=True)
class Target:
    """A worker whose store is empty: a good exposure is skipped, without a template."""

    folder: Path

    @property
    def images(self):
        return self.folder / "images"

    @cached_property
    def handler(self):
        return make_handler(
            from_tree(
                {
                    "store": {"uri": (self.folder / "store").as_uri()},
                    "input": {
                        "roots": [self.images.as_uri()],
                        "max_image_mib": MAX_MIB,
                    },
                }
            )
        )

    @cached_property
    def good(self):
        """The bytes of an exposure that nothing is wrong with."""
        sky = Scene.star_field(shape=(64, 64), density_per_mpx=5000, seed=4)
        return encode_exposure(sky.observe(fwhm=3.0, seed=1, visit=7))

    def event(self, **changes):
        values = {
            "event_id": "visit-7",
            "instrument": "SimCam",
            "visit": 7,
            "detector": 0,
            "band": "r",
            "midpoint_mjd_tai": 61000.5,
            "exposure_time_s": 30.0,
            "image_uri": (self.images / "good.fits").as_uri(),
            "published_at": datetime(2026, 1, 1, tzinfo=UTC),
        }
        return VisitReady(**(values | changes))

    def ask_about_file(self, content, name="hostile.fits"):
        path = self.images / name
        path.write_bytes(content)
        return self.ask(encode_event(self.event(image_uri=path.as_uri())))

    def ask(self, value, headers=()):
        """Return the reason that is told of a message; `UNDECODABLE` for no event.

        Whatever it is: there is one report of a visit and, if that failed, one dead
        letter with the message as it was.
        """
        record = ConsumedRecord(
            topic=TOPIC, partition=0, offset=1, key=b"k", value=value, headers=headers
        )
        answer = perform(self.handler, WorkOrder(record=record, attempt=1))
        if isinstance(answer, Failure):
            assert not answer.retryable, answer
            records = self.handler.reporter.report(record, answer, 1)
            letters = [r for r in records if r.topic == LETTER]
            assert [letter.value for letter in letters] == [value]
        else:
            records = answer.records
            assert all(r.topic != LETTER for r in records)
        reports = [
            decode_event(as_consumed(r)) for r in records if r.topic == PROCESSED
        ]
        try:
            self.handler.reporter.decoding.events(record)
        except UndecodableError:
            assert reports == []
            return UNDECODABLE
        (report,) = reports
        return report.reason


def as_consumed(record):
    return ConsumedRecord(
        topic=record.topic, partition=0, offset=0, key=record.key, value=record.value
    )


@pytest.fixture(scope="session")
def target(tmp_path_factory):
    target = Target(tmp_path_factory.mktemp("fuzz"))
    target.images.mkdir()
    (target.images / "good.fits").write_bytes(target.good)
    return target


@pytest.fixture(autouse=True)
def _silence():
    """Nobody reads a thousand lines about hostile bytes."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.ReturnLoggerFactory(),
    )
    yield
    structlog.reset_defaults()
