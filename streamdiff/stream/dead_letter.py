"""The record of an event that was given up: the original, and why."""

from dataclasses import replace
from datetime import UTC, datetime

from streamdiff import __version__
from streamdiff.ports import Clock, ConsumedRecord, Failure, OutgoingRecord

PREFIX = "streamdiff.dlq."
TRACEBACK, OMITTED = PREFIX + "traceback", PREFIX + "omitted"
MAX_MESSAGE_BYTES = 1024
MAX_TRACEBACK_BYTES = 8192


def dead_letter(
    record: ConsumedRecord,
    failure: Failure,
    *,
    attempts: int,
    topic: str,
    clock: Clock,
) -> OutgoingRecord:
    """Return the dead letter of a record.

    Key, value and headers stay as they were; headers ``streamdiff.dlq.*`` are
    added, those of an earlier failure of the same record are replaced.

    Parameters
    ----------
    record : ConsumedRecord
    failure : Failure
        Its message is cut to 1 kB, its traceback to the last 8 kB.
    attempts : int
    topic : str
        Full name of the dead-letter topic.
    clock : Clock
        Gives ``failed_at`` [ISO 8601, UTC].
    """
    facts = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "stage": failure.stage,
        "reason": str(failure.reason),
        "error_class": failure.error_class,
        "error_message": short_message(failure.message),
        "traceback": _tail(failure.traceback, MAX_TRACEBACK_BYTES),
        "attempts": str(attempts),
        "plugin": failure.plugin,
        "version": __version__,
        "failed_at": _iso_time(clock.time()),
    }
    original = tuple(h for h in record.headers if not h[0].startswith(PREFIX))
    added = tuple((PREFIX + name, _utf8(text)) for name, text in facts.items())
    return OutgoingRecord(
        topic=topic, key=record.key, value=record.value, headers=original + added
    )


def smaller(record: OutgoingRecord) -> OutgoingRecord:
    """Return a dead letter without its traceback or, if that is gone, its value.

    The header ``streamdiff.dlq.omitted`` says what is missing. A record that is no
    dead letter, or has nothing left to leave out, is returned as it is.
    """
    names = {name for name, _ in record.headers}
    if TRACEBACK in names:
        kept = tuple(h for h in record.headers if h[0] != TRACEBACK)
        return replace(record, headers=(*kept, (OMITTED, b"traceback")))
    if OMITTED in names and record.value:
        kept = tuple(h for h in record.headers if h[0] != OMITTED)
        # no value at all would delete the key from a compacted topic
        return replace(
            record, value=b"", headers=(*kept, (OMITTED, b"traceback, value"))
        )
    return record


def short_message(text: str) -> str:
    """Return the first kilobyte of a message."""
    return _utf8(text)[:MAX_MESSAGE_BYTES].decode("utf-8", errors="ignore")


def _utf8(text: str) -> bytes:
    # file names that are no UTF-8 arrive as lone surrogates
    return text.encode("utf-8", errors="backslashreplace")


def _tail(text: str, size: int) -> str:
    # the end of a traceback tells most
    return _utf8(text)[-size:].decode("utf-8", errors="ignore")


def _iso_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat(timespec="milliseconds")
