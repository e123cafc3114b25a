"""Announcements of visits that are still to come, as Rubin's scheduler sends them.

Their fields are those of the event ScriptQueue nextVisit (ts_xml), also after it was
copied for each detector (lsst-dm/next_visit_fan_out).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from streamdiff.errors import UndecodableError
from streamdiff.model import TemplateUpdate, VisitReady
from streamdiff.ports import ConsumedRecord
from streamdiff_notifications.json_message import read_object

_FIELDS = frozenset(
    {"instrument", "groupId", "nimages", "filters", "position", "startTime"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NextVisit:
    """Takes announcements, which are no events: they name no image.

    They may share a topic with events, and become neither outcomes nor dead letters.
    """

    def decode(self, record: ConsumedRecord) -> Sequence[VisitReady | TemplateUpdate]:
        """Return nothing.

        Raises
        ------
        UndecodableError
            If the message is no such announcement.
        """
        if missing := sorted(_FIELDS - set(read_object(record))):
            raise UndecodableError(f"no nextVisit: it lacks {', '.join(missing)}")
        return ()
