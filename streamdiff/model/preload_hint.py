"""Word of an exposure that is still to come."""

from dataclasses import dataclass

import numpy as np

_MAX_RADIUS_DEG = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PreloadHint:
    """Where an exposure is going to be: its templates may be loaded beforehand.

    It names no image, so that nothing is processed or reported.

    Attributes
    ----------
    instrument : str
    detector : int or None
        `None` for all, or if it is not known.
    band : str
    ra, dec : float
        Of the centre, ICRS [deg].
    radius_deg : float
        Half the side of the field around it, at most 10 [deg].
    template_name : str
        Flavour of the templates.

    Raises
    ------
    ValueError
        If a value is out of range.
    """

    instrument: str
    detector: int | None
    band: str
    ra: float
    dec: float
    radius_deg: float
    template_name: str = "deep"

    def __post_init__(self) -> None:
        if not np.isfinite(self.ra):
            raise ValueError(f"ra must be finite, got {self.ra}")
        if not -90 <= self.dec <= 90:
            raise ValueError(f"dec must be in [-90, 90], got {self.dec}")
        if not 0 < self.radius_deg <= _MAX_RADIUS_DEG:
            raise ValueError(
                f"radius_deg must be in (0, {_MAX_RADIUS_DEG:g}], got {self.radius_deg}"
            )
