"""How the work on an event can end."""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """The end of every decodable event."""

    PROCESSED = "processed"
    SKIPPED = "skipped"
    FAILED = "failed"


class Reason(StrEnum):
    """Why an event was skipped or failed: a closed list, part of the schema."""

    NO_TEMPLATE = "no_template"
    INSUFFICIENT_TEMPLATE_COVERAGE = "insufficient_template_coverage"
    NO_OVERLAP = "no_overlap"
    INSUFFICIENT_KERNEL_SOURCES = "insufficient_kernel_sources"
    STALE = "stale"
    DUPLICATE_VISIT = "duplicate_visit"
    INSUFFICIENT_EPOCHS = "insufficient_epochs"
    NO_VALID_PIXELS = "no_valid_pixels"

    UNREADABLE_IMAGE = "unreadable_image"
    INVALID_EXPOSURE = "invalid_exposure"
    CHECKSUM_MISMATCH = "checksum_mismatch"
    FORBIDDEN_URI = "forbidden_uri"
    TOO_LARGE = "too_large"
    BAD_SUBTRACTION = "bad_subtraction"
    VARIANCE_SCALE_EXCEEDED = "variance_scale_exceeded"
    PLUGIN_ERROR = "plugin_error"
    PLUGIN_CONTRACT = "plugin_contract"
    TIMEOUT = "timeout"
    WORKER_DIED = "worker_died"
    STORE_UNAVAILABLE = "store_unavailable"
    INTERNAL = "internal"

    @property
    def outcome(self) -> Outcome:
        """Return whether this is a reason to skip or to fail."""
        return Outcome.SKIPPED if self in _SKIPS else Outcome.FAILED


_SKIPS = frozenset(
    {
        Reason.NO_TEMPLATE,
        Reason.INSUFFICIENT_TEMPLATE_COVERAGE,
        Reason.NO_OVERLAP,
        Reason.INSUFFICIENT_KERNEL_SOURCES,
        Reason.STALE,
        Reason.DUPLICATE_VISIT,
        Reason.INSUFFICIENT_EPOCHS,
        Reason.NO_VALID_PIXELS,
    }
)


@dataclass(frozen=True, slots=True)
class Skip:
    """What a stage returns instead of a result when there is nothing to do.

    Attributes
    ----------
    reason : Reason
        One of the reasons to skip.
    detail : str
        What was found and what would have been enough.

    Raises
    ------
    ValueError
        If the reason is one to fail.
    """

    reason: Reason
    detail: str = ""

    def __post_init__(self) -> None:
        if self.reason.outcome is not Outcome.SKIPPED:
            raise ValueError(f"{self.reason} is no reason to skip: raise an error")
