"""Announcements of visits that are still to come, as Rubin's scheduler sends them.

Their fields are those of the event ScriptQueue nextVisit (ts_xml), also after it was
copied for each detector (lsst-dm/next_visit_fan_out).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Gt, Le
from astropy import units as u
from astropy.coordinates import SkyCoord

from streamdiff.errors import UndecodableError
from streamdiff.model import PreloadHint
from streamdiff.ports import ConsumedRecord
from streamdiff_notifications.json_message import read_object

_FIELDS = frozenset(
    {"instrument", "groupId", "nimages", "filters", "position", "startTime"}
)
# Values of coordinateSystem and rotationSystem.
_ICRS, _SKY = 2, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class NextVisit:
    """Makes hints of announcements, so that workers load the templates beforehand.

    They name no image, and become neither outcomes nor dead letters. Those of no
    images, of no filter, or without a position on the sky are passed over.

    Attributes
    ----------
    radius_deg : float
        Half the side of the field to load templates of: half a detector and the
        error of the pointing [deg].
    detector_offsets : mapping of str to (float, float)
        From the centre of the focal plane to that of each detector [deg], along +x
        and +y; at a rotation of 0, +y is north and +x east, at 90 degrees +y is east
        and +x south. Without one, the field is around the pointing itself.
    flip_x : bool
        Whether +x is west at a rotation of 0.
    bands : mapping of str to str
        Physical filter -> band; of others, the band is what is before the first
        underscore.
    template_name : str
        Flavour of the templates.
    """

    radius_deg: Annotated[float, Gt(0), Le(10)] = 0.15
    detector_offsets: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    flip_x: bool = False
    bands: Mapping[str, str] = field(default_factory=dict)
    template_name: str = "deep"

    def decode(self, record: ConsumedRecord) -> Sequence[PreloadHint]:
        """Return the hint of an announcement, if it says enough.

        Raises
        ------
        UndecodableError
            If the message is no such announcement.
        """
        told = read_object(record)
        if missing := sorted(_FIELDS - set(told)):
            raise UndecodableError(f"no nextVisit: it lacks {', '.join(missing)}")
        if told.get("coordinateSystem") != _ICRS or not told["nimages"]:
            return ()
        if not (told["filters"] and isinstance(told["filters"], str)):
            return ()
        try:
            return (self._hint(told),)
        except (ValueError, TypeError, OverflowError) as err:
            raise UndecodableError(f"no nextVisit: {err!s:.200}") from err

    def _hint(self, told: Mapping[str, Any]) -> PreloadHint:
        detector = told.get("detector")
        ra, dec = map(float, told["position"])
        offset = self.detector_offsets.get(str(detector))
        if offset is not None and told.get("rotationSystem") == _SKY:
            ra, dec = self._moved(ra, dec, offset, float(told["cameraAngle"]))
        name = told["filters"]
        return PreloadHint(
            instrument=str(told["instrument"]),
            detector=None if detector is None else int(detector),
            band=self.bands.get(name, name.partition("_")[0]),
            ra=ra,
            dec=dec,
            radius_deg=self.radius_deg,
            template_name=self.template_name,
        )

    def _moved(
        self, ra: float, dec: float, offset: tuple[float, float], angle_deg: float
    ) -> tuple[float, float]:
        """Return the position of a detector, from that of the pointing."""
        x, y = (-offset[0] if self.flip_x else offset[0]), offset[1]
        position_angle = angle_deg + math.degrees(math.atan2(x, y))
        centre = SkyCoord(ra, dec, unit="deg").directional_offset_by(
            position_angle * u.deg, math.hypot(x, y) * u.deg
        )
        return float(centre.ra.deg), float(centre.dec.deg)
