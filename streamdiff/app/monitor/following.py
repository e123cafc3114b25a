"""Following a stream, or files that change, in a thread of its own."""

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from streamdiff.app.monitor.intake import FileIntake, Intake
from streamdiff.errors import StreamdiffError
from streamdiff.ports import TopicPartition, Transport

log = structlog.get_logger(__name__)

_POLL_S = 0.5
_LOOK_S = 5.0
_AGAIN_S = 10.0
_JOIN_S = 10.0
_STREAM = "the stream"

Follow = Callable[[threading.Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Reads topics from their beginning; commits nothing, so that nothing changes.

    Attributes
    ----------
    transport : Transport
    topics : sequence of str
    group : str
        First part of the name of a consumer group that nobody else is in.
    intake : Intake
    """

    transport: Transport
    topics: Sequence[str]
    group: str
    intake: Intake

    def follow(self, stopping: threading.Event) -> None:
        """Read until asked to stop; after an error, which is shown, once more."""
        ends: dict[TopicPartition, int] = {}
        while not stopping.is_set():
            try:
                self._follow(stopping, ends)
            except StreamdiffError as err:
                self.intake.complain(err)
                stopping.wait(_AGAIN_S)

    def _follow(
        self, stopping: threading.Event, ends: dict[TopicPartition, int]
    ) -> None:
        consumer = self.transport.consumer(f"{self.group}.monitor.{uuid.uuid4()}")
        try:
            consumer.subscribe(
                self.topics, on_assign=_ignore, on_revoke=_ignore, on_lost=_ignore
            )
            while not stopping.is_set():
                record = consumer.poll(_POLL_S)
                if record is None or record.offset < ends.get(
                    record.topic_partition, 0
                ):
                    continue  # nothing, or what was read before an error
                ends[record.topic_partition] = record.offset + 1
                self.intake.take(record, _STREAM)
        finally:
            consumer.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangingFiles:
    """Reads files, and again what is new or has changed.

    Attributes
    ----------
    files : FileIntake
    """

    files: FileIntake

    def follow(self, stopping: threading.Event) -> None:
        """Read until asked to stop."""
        self.files.read()
        while not stopping.wait(_LOOK_S):
            self.files.read()


@contextmanager
def followed(follow: Follow) -> Iterator[None]:
    """Run what follows something in a thread, until the end of the context."""
    stopping = threading.Event()
    thread = threading.Thread(
        target=follow, args=(stopping,), name="monitor", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(_JOIN_S)


def _ignore(_: object) -> None:
    """Do nothing about partitions that come and go."""
