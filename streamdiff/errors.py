"""The errors of streamdiff, and what the runtime does with each branch.

::

    StreamdiffError
    ├── ConfigError             stop at start: nothing has been consumed
    ├── PluginError             stop at start: nothing has been consumed
    ├── StreamError             stop with exit code 1: nothing is lost
    │   └── DeadLetterLimitError
    ├── RetryableError          back off, then the same event again
    │   ├── StoreUnavailableError
    │   └── VersionConflictError
    └── UnprocessableError      failed outcome and dead letter
        ├── UndecodableError    dead letter only: there is no visit to report on
        │   └── CutLogError     of event logs alone: the runtime reads none
        ├── InvalidExposureError
        ├── UnreadableImageError
        ├── ChecksumMismatchError
        ├── ForbiddenUriError
        ├── TooLargeError
        ├── SubtractionError
        ├── VarianceScaleError
        ├── PluginContractError
        │   └── ChangedInputError   the worker is replaced: what visits share is spoilt
        └── PluginFailedError

Skipping on purpose is an outcome (`streamdiff.model.Skip`), never an error.
Messages say what is wrong, where, and what to do about it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar


class StreamdiffError(Exception):
    """Anything that streamdiff raises on purpose.

    Attributes
    ----------
    stage, plugin : str
        Where in the pipeline it was raised; empty outside of it.
    """

    stage: str = ""
    plugin: str = ""


class ConfigError(StreamdiffError):
    """A setting is missing, unknown or out of range."""


class PluginError(StreamdiffError):
    """A plugin is missing, broken, ambiguous or of another API version."""


class StreamError(StreamdiffError):
    """The stream can not go on: a broker refuses, an offset is gone, a thread died."""


class DeadLetterLimitError(StreamError):
    """So many events fail that the fault is not in the events."""


class RetryableError(StreamdiffError):
    """A passing fault: the same event may succeed a little later.

    Attributes
    ----------
    reason : str
        Reason code of the failed outcome when no attempt succeeds.
    """

    reason: ClassVar[str] = "internal"


class StoreUnavailableError(RetryableError):
    """An image or template store does not answer."""

    reason = "store_unavailable"


class VersionConflictError(RetryableError):
    """Another writer has made the next version of a template first."""

    reason = "store_unavailable"


class UnprocessableError(StreamdiffError):
    """The event can not be processed, now or later.

    Attributes
    ----------
    reason : str
        Reason code of the failed outcome, from the closed list of
        `streamdiff.model.Reason`.
    metrics : mapping of str to float
        What was measured before.
    """

    reason: ClassVar[str] = "internal"
    metrics: Mapping[str, float] = MappingProxyType({})


class UndecodableError(UnprocessableError):
    """The message is no event: only a dead letter can tell of it."""


class CutLogError(UndecodableError):
    """An event log ends inside a block; what comes before is whole.

    Attributes
    ----------
    end : int
        Where the last whole block ends [byte].
    """

    def __init__(self, message: str, *, end: int) -> None:
        super().__init__(message)
        self.end = end


class InvalidExposureError(UnprocessableError):
    """An exposure breaks a rule; the message names file, extension, keyword, rule."""

    reason = "invalid_exposure"


class UnreadableImageError(UnprocessableError):
    """A file is missing, truncated or not what its name says."""

    reason = "unreadable_image"


class ChecksumMismatchError(UnprocessableError):
    """The bytes of a file are not those that the event announced."""

    reason = "checksum_mismatch"


class ForbiddenUriError(UnprocessableError):
    """A URI lies outside the configured roots."""

    reason = "forbidden_uri"


class TooLargeError(UnprocessableError):
    """A file is larger than the configured limit."""

    reason = "too_large"


class SubtractionError(UnprocessableError):
    """The two exposures can not be subtracted, or the result is no good."""

    reason = "bad_subtraction"


class VarianceScaleError(UnprocessableError):
    """The variance plane is too far from the scatter of the image."""

    reason = "variance_scale_exceeded"


class PluginContractError(UnprocessableError):
    """A plugin returned something that its protocol does not allow."""

    reason = "plugin_contract"


class ChangedInputError(PluginContractError):
    """A plugin changed what it was given, which other visits may share."""


class PluginFailedError(UnprocessableError):
    """A plugin raised an error that is none of streamdiff's."""

    reason = "plugin_error"
