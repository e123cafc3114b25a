"""Alerts as JSON, without cutouts: a beginning."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from streamdiff.hookspecs import hookimpl
from streamdiff.model import Alert
from streamdiff.stages import AlertFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class Mine:
    """Writes the measurements of a DiaSource as a JSON object.

    Attributes
    ----------
    with_templates : bool
        Tell the templates, too.
    """

    with_templates: bool = True

    @property
    def content_type(self) -> str:
        """Return the MIME type of the message."""
        return "application/json"

    def encode(self, alert: Alert) -> bytes:
        """Return the message of one alert."""
        told = {"eventId": alert.event_id, "diaSource": dict(alert.dia_source)}
        if self.with_templates:
            told["templates"] = [use.template_id for use in alert.templates]
        return json.dumps(told, default=str).encode()


@hookimpl
def streamdiff_alert_formats() -> Mapping[str, Callable[..., AlertFormat]]:
    """Offer ``mine``."""
    return {"mine": Mine}
