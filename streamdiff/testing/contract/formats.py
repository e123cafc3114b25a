"""The contract of alert formats."""

from dataclasses import replace

from streamdiff.model import Alert
from streamdiff.testing.contract import skies
from streamdiff.testing.contract.check import Arguments, Subject, checks_of, require
from streamdiff.testing.contract.kind import Kind
from streamdiff.testing.contract.remember import remembered

_READ = "streamdiff.stages.AlertFormat"


def validate(subject: Subject, arguments: Arguments, result: object) -> None:  # noqa: ARG001
    """Raise unless a result is a message."""
    require(
        isinstance(result, bytes) and result,
        expected="bytes, at least one",
        got=f"{type(result).__name__} {result!r:.20}",
        read=f"{_READ}.encode",
    )


def the_content_has_a_type(subject: Subject) -> None:
    """Require a MIME type for the header of the message."""
    content_type = subject.built.content_type
    require(
        isinstance(content_type, str) and content_type.count("/") == 1,
        expected="a MIME type such as application/avro",
        got=repr(content_type),
        read=f"{_READ}.content_type",
    )


def other_alerts_are_other_messages(subject: Subject) -> None:
    """Require that what is in an alert is in its message."""
    alert = _alert()
    other = replace(alert, dia_source={**alert.dia_source, "diaSourceId": 12})
    require(
        subject.built.encode(alert) != subject.built.encode(other),
        expected="messages that differ where alerts do",
        got="the same message for two alerts",
        read=f"{_READ}.encode",
    )


@remembered
def _alert() -> Alert:
    cutout = skies.pair(skies.SHAPES["tiny"])[0]
    return Alert(
        event_id="event",
        dia_source={
            "diaSourceId": 11,
            "visit": 7,
            "detector": 0,
            "ra": 210.0,
            "dec": -12.0,
            "x": 4.0,
            "y": 5.0,
            "snr": 12.5,
            "psfFlux": 321.0,
            "psfFluxErr": 25.0,
            "band": "r",
            "midpointMjdTai": 61000.0,
            "isNegative": False,
        },
        cutout_difference=cutout,
        cutout_science=cutout,
        cutout_template=cutout,
    )


def _cases() -> dict[str, Arguments]:
    alert = _alert()
    missing = {**alert.dia_source, "psfFlux": None, "psfFluxErr": None}
    return {
        "standard": (alert,),
        "without values": (replace(alert, dia_source=missing),),
        "without cutouts": (
            replace(
                alert,
                cutout_difference=None,
                cutout_science=None,
                cutout_template=None,
            ),
        ),
    }


KIND = Kind(
    name="formats",
    method="encode",
    read=_READ,
    cases=_cases,
    validate=validate,
    checks=checks_of(the_content_has_a_type, other_alerts_are_other_messages),
)
