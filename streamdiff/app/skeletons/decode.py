"""Messages of another observatory: a beginning."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from streamdiff.errors import UndecodableError
from streamdiff.hookspecs import hookimpl
from streamdiff.model import TemplateUpdate, VisitReady
from streamdiff.ports import ConsumedRecord
from streamdiff.stages import EventDecoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Mine:
    """Reads JSON objects that tell of a new file.

    Attributes
    ----------
    instrument : str
        Of all messages.
    """

    instrument: str = "MyCam"

    def decode(self, record: ConsumedRecord) -> Sequence[VisitReady | TemplateUpdate]:
        """Return the event of a message.

        Raises
        ------
        UndecodableError
            If the message is of another kind.
        """
        try:
            told = json.loads(record.value or b"")
            return [
                VisitReady(
                    event_id=f"{self.instrument}-{told['file']}",
                    instrument=self.instrument,
                    visit=int(told["exposure"]),
                    detector=int(told["chip"]),
                    band=str(told["filter"]),
                    midpoint_mjd_tai=float(told["mjd"]),
                    exposure_time_s=float(told["seconds"]),
                    image_uri=str(told["file"]),
                    published_at=datetime.fromtimestamp(
                        record.timestamp_ms / 1000, tz=UTC
                    ),
                )
            ]
        except (ValueError, TypeError, KeyError) as err:
            raise UndecodableError(f"no message of {self.instrument}: {err}") from err


@hookimpl
def streamdiff_event_decoders() -> Mapping[str, Callable[..., EventDecoder]]:
    """Offer ``mine``."""
    return {"mine": Mine}
