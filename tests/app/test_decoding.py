from dataclasses import dataclass, replace
from typing import Any

import pytest

from streamdiff.app.decoding import MAX_HEADER_BYTES, MAX_MESSAGE_BYTES, Decoding
from streamdiff.errors import UndecodableError


@dataclass(frozen=True)
class Foreign:
    """A decoder of messages that begin as it likes."""

    prefix: bytes
    answer: Any

    def decode(self, record):
        if not record.value.startswith(self.prefix):
            raise UndecodableError(f"does not begin with {self.prefix!r}")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_an_event_of_streamdiff_needs_no_decoder(record, visit):
    asked = Decoding(decoders=[Foreign(b"", [])])
    assert asked.events(record(visit())) == (visit(),)


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_foreign_message_may_stand_for_any_number_of_events(record, visit, number):
    events = tuple(visit(event_id=f"e{n}") for n in range(number))
    decoding = Decoding(decoders=[Foreign(b"{", list(events))])
    assert decoding.events(record(b"{}")) == events


def test_decoders_are_asked_in_their_order(record, visit):
    decoders = [Foreign(b"<", []), Foreign(b"{", [visit()]), Foreign(b"{", [])]
    assert Decoding(decoders=decoders).events(record(b"{}")) == (visit(),)


def test_what_nobody_can_read_is_refused_with_what_each_says(record):
    decoding = Decoding(decoders=[Foreign(b"<", []), Foreign(b"{", [])])
    with pytest.raises(
        UndecodableError, match=r"1 bytes.*; Foreign: .*'<'; Foreign: .*'{'"
    ):
        decoding.events(record(b"?"))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (RuntimeError("no memory"), "Foreign: RuntimeError: no memory"),
        (None, "Foreign: TypeError"),
        (["text"], "Foreign: TypeError: it returned str, not an event"),
    ],
)
def test_a_decoder_that_breaks_is_told_of_and_the_next_is_asked(
    record, visit, answer, told
):
    broken = Foreign(b"{", answer)
    with pytest.raises(UndecodableError, match=told):
        Decoding(decoders=[broken]).events(record(b"{}"))
    both = Decoding(decoders=[broken, Foreign(b"{", [visit()])])
    assert both.events(record(b"{}")) == (visit(),)


@pytest.mark.parametrize(
    ("size", "headers", "told"),
    [
        (MAX_MESSAGE_BYTES + 1, (), "message of 4194305 bytes"),
        (2, (("h", bytes(MAX_HEADER_BYTES)),), "headers of 65537 bytes"),
    ],
)
def test_a_message_of_any_size_is_not_even_looked_at(record, size, headers, told):
    large = replace(record(b"{" * size), headers=headers)
    with pytest.raises(UndecodableError, match=told):
        Decoding(decoders=[Foreign(b"{", [])]).events(large)
