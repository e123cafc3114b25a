"""Sky sources: places with nothing on them, measured as DiaSources are.

What is measured on them is noise: their fluxes over the errors tell whether errors
are right. They become no alerts.
"""

from dataclasses import dataclass
from math import ceil, pi

import numpy as np
from astropy.wcs import WCS

from streamdiff.imaging.empty_places import empty_places
from streamdiff.imaging.noise import robust_std
from streamdiff.model import (
    DETECTION_COLUMNS,
    UNUSABLE,
    DiaSources,
    Difference,
    MaskPlane,
    VisitReady,
)
from streamdiff.pipeline.alerts import identified
from streamdiff.pipeline.filters import FilterReason, with_reason

_AVOIDED = (
    UNUSABLE
    | MaskPlane.EDGE
    | MaskPlane.DETECTED
    | MaskPlane.DETECTED_NEGATIVE
    | MaskPlane.SAT_TEMPLATE
    | MaskPlane.STREAK
)
# A scatter of fewer is no figure.
_MIN_PULLS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SkySources:
    """Places sky sources on a difference.

    Attributes
    ----------
    n : int
        How many are wanted; 0 for none.
    radius : float
        So far from them there is neither a DiaSource nor a masked pixel [pixel].
    """

    n: int = 0
    radius: float = 8.0

    def place(self, difference: Difference) -> DiaSources:
        """Return sky sources with the `DETECTION_COLUMNS`.

        The same difference has the same ones, wherever it is made.
        """
        if not self.n:
            return DiaSources.empty()
        seed = (difference.id.visit, difference.id.detector)
        occupied = _AVOIDED.in_mask(difference.mask)
        x, y = empty_places(occupied, self.n, radius=self.radius, seed=seed)
        values = {
            "x": x,
            "y": y,
            "snr": np.zeros(x.size),
            "isNegative": np.zeros(x.size, bool),
            "bboxSize": np.full(x.size, 2 * ceil(self.radius) + 1),
            "footprintArea": np.full(x.size, round(pi * self.radius**2)),
        }
        if difference.score is not None:
            pixel = np.rint(y).astype(int), np.rint(x).astype(int)
            values["snr"] = np.abs(difference.score[pixel])
        return DiaSources(DETECTION_COLUMNS, values)


def sky_metrics(sky: DiaSources) -> dict[str, float]:
    """Return ``n_sky_sources``, and ``sky_pull_{median,std}`` of their PSF fluxes.

    A pull is a flux over its error: 0 and 1 if background and errors are right.
    """
    metrics = {"n_sky_sources": float(len(sky))}
    if "psfFlux" not in sky or "psfFluxErr" not in sky:
        return metrics
    flux, error = (sky[name].astype(float) for name in ("psfFlux", "psfFluxErr"))
    known = np.isfinite(flux) & (error > 0)
    if np.count_nonzero(known) < _MIN_PULLS:
        return metrics
    pulls = flux[known] / error[known]
    return metrics | {
        "sky_pull_median": float(np.median(pulls)),
        "sky_pull_std": robust_std(pulls),
    }


def with_sky_sources(
    dropped: DiaSources, event: VisitReady, sky: DiaSources, wcs: WCS
) -> DiaSources:
    """Return the DiaSources that were dropped, and the sky sources; their id is 0."""
    sky = identified(event, sky, wcs)
    missing = [c for c in dropped.columns if c.name not in sky]
    values = {"diaSourceId": np.zeros(len(sky))}
    values |= {c.name: np.zeros(len(sky), c.dtype) for c in missing}
    numbered = [c for c in sky.columns if c.name == "diaSourceId"]
    sky = sky.with_columns([*numbered, *missing], values)
    return dropped.joined(with_reason(sky, FilterReason.SKY_SOURCE))
