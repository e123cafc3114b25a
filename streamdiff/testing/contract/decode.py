"""The contract of event decoders."""

from collections.abc import Sequence

from streamdiff.errors import UndecodableError
from streamdiff.model import PreloadHint, TemplateUpdate, VisitReady
from streamdiff.ports import ConsumedRecord
from streamdiff.testing.contract.check import Arguments, Subject, checks_of, require
from streamdiff.testing.contract.kind import Kind

_EVENTS = (VisitReady, TemplateUpdate, PreloadHint)
_READ = "streamdiff.stages.EventDecoder"


def validate(subject: Subject, arguments: Arguments, result: object) -> None:  # noqa: ARG001
    """Raise unless a result is a sequence of events."""
    require(
        isinstance(result, Sequence)
        and all(isinstance(event, _EVENTS) for event in result),
        expected="a sequence of VisitReady, TemplateUpdate and PreloadHint",
        got=f"{type(result).__name__} {result!r:.60}",
        read=_READ,
    )


def a_message_of_another_kind_is_refused(subject: Subject) -> None:
    """Require an UndecodableError, so that the next decoder is asked."""
    for name, arguments in _cases().items():
        result = KIND.call(subject, arguments)
        require(
            isinstance(result, UndecodableError),
            expected=f"an UndecodableError for a message that is {name}",
            got=f"{type(result).__name__}",
            read=_READ,
        )


def _record(value: bytes | None) -> ConsumedRecord:
    return ConsumedRecord(topic="t", partition=0, offset=1, key=None, value=value)


def _cases() -> dict[str, Arguments]:
    return {
        "no value at all": (_record(None),),
        "empty": (_record(b""),),
        "no text": (_record(bytes(range(256))),),
        "cut JSON": (_record(b'{"Records": [{"s3": '),),
        "some other JSON": (_record(b'{"hello": [1, null]}'),),
        "a JSON number": (_record(b"12"),),
    }


KIND = Kind(
    name="decode",
    method="decode",
    read=_READ,
    cases=_cases,
    validate=validate,
    checks=checks_of(a_message_of_another_kind_is_refused),
)
