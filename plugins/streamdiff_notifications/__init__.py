"""Messages of others about exposures: ``s3_object_created`` and ``next_visit``."""

from collections.abc import Callable, Mapping

from streamdiff.hookspecs import hookimpl
from streamdiff.stages import EventDecoder
from streamdiff_notifications.next_visit import NextVisit
from streamdiff_notifications.s3 import S3ObjectCreated

__all__ = ["NextVisit", "S3ObjectCreated", "streamdiff_event_decoders"]


@hookimpl
def streamdiff_event_decoders() -> Mapping[str, Callable[..., EventDecoder]]:
    """Offer ``s3_object_created`` and ``next_visit``."""
    return {"s3_object_created": S3ObjectCreated, "next_visit": NextVisit}
