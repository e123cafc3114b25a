"""Dead letters of a topic or of event logs: found, described, published again."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streamdiff.adapters.avro.events import decode_event
from streamdiff.adapters.event_log import log_files, read_log
from streamdiff.errors import UndecodableError
from streamdiff.ports import ConsumedRecord, OutgoingRecord, Transport
from streamdiff.stream.dead_letters import DeadLetter

_AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which dead letters are wanted; empty for any.

    Attributes
    ----------
    reason, stage : str
    event_ids : sequence of str
    places : sequence of str
        ``partition:offset`` in the dead-letter topic, or the offset alone.
    """

    reason: str = ""
    stage: str = ""
    event_ids: Sequence[str] = ()
    places: Sequence[str] = ()

    def takes(self, letter: DeadLetter) -> bool:
        """Return whether a dead letter is wanted."""
        places = {letter.place, str(letter.record.offset)}
        return (
            self.reason in {"", letter.reason}
            and self.stage in {"", letter.facts.get("stage")}
            and (not self.places or not places.isdisjoint(self.places))
            and (not self.event_ids or event_id(letter) in self.event_ids)
        )


def letters_of_topic(transport: Transport, topic: str) -> Iterator[DeadLetter]:
    """Yield the dead letters that a topic holds now."""
    return _letters(transport.read_all(topic))


def letters_of_logs(paths: Iterable[Path]) -> Iterator[DeadLetter]:
    """Yield the dead letters among the records of event logs."""
    for path in log_files(paths):
        yield from _letters(read_log(path, allow_cut=True))


def _letters(records: Iterable[ConsumedRecord]) -> Iterator[DeadLetter]:
    return (letter for r in records if (letter := DeadLetter.of(r)) is not None)


def event_id(letter: DeadLetter) -> str | None:
    """Return the id of the event that was given up; `None` if it has none."""
    try:
        return decode_event(replace(letter.record, topic=letter.topic)).event_id
    except UndecodableError:
        return None


def described(letter: DeadLetter) -> dict[str, Any]:
    """Return everything about a dead letter that a program may want to read."""
    record = letter.record
    original = [h for h in record.headers if not h[0].startswith("streamdiff.dlq.")]
    return {
        "place": letter.place,
        "reason": letter.reason,
        "event_id": event_id(letter),
        **{name: value for name, value in letter.facts.items() if name != "reason"},
        "key": _text(record.key),
        "headers": {name: _text(value) for name, value in original},
        "value_bytes": len(record.value or b""),
    }


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="backslashreplace")


def originals(letters: Iterable[DeadLetter]) -> list[OutgoingRecord]:
    """Return the records to publish again; the same one is not published twice.

    Raises
    ------
    UnprocessableError
        If a letter lacks the value of its record.
    """
    return list(dict.fromkeys(letter.original() for letter in letters))


def publish(transport: Transport, records: Sequence[OutgoingRecord]) -> None:
    """Send records, some at a time.

    Raises
    ------
    RetryableError, StreamError
        If the broker does not take them all: some may have been sent.
    """
    producer = transport.producer()
    try:
        for first in range(0, len(records), _AT_ONCE):
            producer.send(records[first : first + _AT_ONCE])
    finally:
        producer.close()
