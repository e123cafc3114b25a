"""The contract of exposure readers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from streamdiff.errors import StreamdiffError, UnreadableImageError
from streamdiff.model import Exposure, UnknownPsf, VisitReady
from streamdiff.testing.contract.check import (
    Arguments,
    NotApplicableError,
    Subject,
    checks_of,
    require,
)
from streamdiff.testing.contract.kind import Kind
from streamdiff.testing.contract.planes import require_psf, require_type

_READ = "streamdiff.stages.ExposureReader"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesInMemory:
    """Files that an event may name, by URI.

    Attributes
    ----------
    contents : mapping of str to bytes
    """

    contents: Mapping[str, bytes] = field(default_factory=dict)

    def fetch(self, uri: str, *, sha256: str | None = None) -> bytes:  # noqa: ARG002 - the port's
        """Return the content of a file.

        Raises
        ------
        UnreadableImageError
            If there is none.
        """
        if uri not in self.contents:
            raise UnreadableImageError(f"{uri}: there is no such file")
        return self.contents[uri]


def event_of(uri: str) -> VisitReady:
    """Return an event that announces a file."""
    return VisitReady(
        event_id="event",
        instrument="SimCam",
        visit=7,
        detector=0,
        band="r",
        midpoint_mjd_tai=61000.0,
        exposure_time_s=30.0,
        image_uri=uri,
        published_at=datetime(2026, 11, 20, tzinfo=UTC),
    )


def validate(subject: Subject, arguments: Arguments, result: object) -> None:  # noqa: ARG001
    """Raise unless a result is the exposure that was announced."""
    require_type(result, Exposure, _READ)
    assert isinstance(result, Exposure)  # noqa: S101 - for the type checker
    event = arguments[0]
    require(
        result.id == event.exposure_id,
        expected=f"{event.exposure_id}: fields of the event win over the header",
        got=str(result.id),
        read=_READ,
    )
    if not isinstance(result.psf, UnknownPsf):
        require_psf(result.psf, result.shape, "streamdiff.model.Exposure.psf")


def a_file_that_is_no_exposure_is_refused(subject: Subject) -> None:
    """Require a typed error for what is missing, empty or of another format."""
    for name, arguments in _cases().items():
        result = KIND.call(subject, arguments)
        require(
            isinstance(result, StreamdiffError),
            expected=f"an UnreadableImageError for a file that is {name}",
            got=f"a {type(result).__name__}",
            read="streamdiff.errors",
        )


def a_good_file_is_read(subject: Subject) -> None:
    """Require an exposure from the files that the author of the check gives."""
    if not subject.cases:
        raise NotApplicableError("no file is given: cases = {name: (event, files)}")
    for arguments in subject.cases.values():
        KIND.result(subject, arguments)


def _cases() -> dict[str, Arguments]:
    uri = "memory://image"
    contents = {"empty": b"", "noise": bytes(range(256)) * 40, "a text": b"hello\n" * 9}
    cases: dict[str, Arguments] = {
        name: (event_of(uri), FilesInMemory(contents={uri: content}))
        for name, content in contents.items()
    }
    return {**cases, "missing": (event_of(uri), FilesInMemory())}


KIND = Kind(
    name="read",
    method="read",
    read=_READ,
    cases=_cases,
    validate=validate,
    checks=checks_of(a_file_that_is_no_exposure_is_refused, a_good_file_is_read),
)
