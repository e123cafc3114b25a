"""The stream runtime: read, dispatch, send, commit; retry, dead-letter, drain."""

from streamdiff.stream.dead_letter import dead_letter
from streamdiff.stream.health import Health
from streamdiff.stream.limits import DeadLetterLimit
from streamdiff.stream.retry import Backoff
from streamdiff.stream.runtime import Runtime
from streamdiff.stream.settings import RuntimeSettings

__all__ = [
    "Backoff",
    "DeadLetterLimit",
    "Health",
    "Runtime",
    "RuntimeSettings",
    "dead_letter",
]
