"""Trails of what moves during the exposure."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from streamdiff.model import Column, DiaSources, Difference, MaskPlane
from streamdiff.stages import Images
from streamdiff_measurement.elongation import Elongation, elongations
from streamdiff_measurement.good_pixels import GoodPixels
from streamdiff_measurement.sky import tangent_jacobian
from streamdiff_measurement.source_moments import source_moments, typical_fwhm
from streamdiff_measurement.trail_fit import Trails, fit_at
from streamdiff_measurement.trail_values import (
    TRAIL_COLUMNS,
    border_flags,
    no_trails,
    trail_values,
)

# Of both ends together, beside the trail; and of the stamp of a point source.
_AROUND_FWHM, _SMALLEST_FWHM = 6.0, 8.0
# Of the sides of stamps, where a trail does not fit in.
_GROWTH = 2.0
_PIXELS_AT_ONCE = 1 << 16
# Moments of noise are this far off.
_MIN_ELONGATION_SNR = 1.5
# A fit so much shorter than what is claimed does not become longer again.
_HOPELESS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail(GoodPixels):
    """Fit of the PSF, drawn along a line, to DiaSources that are elongated.

    Attributes
    ----------
    min_length : float
        Shorter trails are not told from points: they have an upper limit alone
        [FWHM]. Errors are normal from 2 FWHM.
    max_side : int
        Side of the largest stamp [pixel]. Trails that do not fit in are not
        measured.
    exclude : tuple of str
        Mask planes whose pixels take no part.
    """

    min_length: Annotated[float, Ge(0.5)] = 1.0
    max_side: Annotated[int, Ge(15), Le(1023)] = 151

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns that `measure` fills."""
        return TRAIL_COLUMNS

    def measure(
        self, sources: DiaSources, images: Images
    ) -> Mapping[str, NDArray[Any]]:
        """Return trails; dipoles, where a measurer found them, have none."""
        difference, values = images.difference, no_trails(len(sources))
        width = typical_fwhm(difference)
        shape = elongations(difference, sources, exclude=self.excluded)
        values["trailLengthMax"][:] = _limits(difference, sources, shape)
        first = self._needed(sources, shape, width)
        trail = _start(difference, sources, shape, np.isfinite(first), self.excluded)
        needed = first.copy()
        for side in self._sides(width):
            fits = np.flatnonzero(needed <= side)
            for few in _split(fits, max(_PIXELS_AT_ONCE // side**2, 1)):
                found = fit_at(
                    difference,
                    trail[few],
                    side,
                    shortest=_HOPELESS * self.min_length * width,
                    exclude=self.excluded,
                )
                trail[few] = found.trail
                needed[few] = _side_of(found, side, width)
                known = self._is_known(found, width) & np.isinf(needed[few])
                for name, value in trail_values(difference, found).items():
                    values[name][few[known]] = value[known]
        tried = np.isfinite(first)
        for name, value in border_flags(difference, trail[tried]).items():
            values[name][tried] = value
        # What is left needs more than the largest stamp.
        values["trail_flag_suspect_long_trail"][:] = np.isfinite(needed)
        return values

    def _is_known(self, found: Trails, width: float) -> NDArray[np.bool_]:
        known: NDArray[np.bool_] = found.length >= self.min_length * width
        return (
            known & np.isfinite(found.flux) & np.isfinite(found.covariance).all((1, 2))
        )

    def _needed(
        self, sources: DiaSources, shape: Elongation, width: float
    ) -> NDArray[np.float64]:
        """Return sides of stamps [pixel]; infinite where no fit is needed."""
        # By its moments, a short trail is longer than it is, by a tenth or so.
        long = shape.length > self.min_length * width
        long &= shape.snr > _MIN_ELONGATION_SNR
        if "isDipole" in sources:
            long &= ~sources["isDipole"]
        side = np.minimum(shape.length + _AROUND_FWHM * width, self.max_side)
        return np.where(long, side, np.inf)

    def _sides(self, width: float) -> list[int]:
        """Return odd sides of stamps, from that of a point source [pixel]."""
        sides, side = [], _SMALLEST_FWHM * width
        while side < self.max_side:
            sides.append(2 * ceil(side / 2) + 1)
            side *= _GROWTH
        return [*sides, 2 * (self.max_side // 2) + 1]


def _start(
    difference: Difference,
    sources: DiaSources,
    shape: Elongation,
    tried: NDArray[np.bool_],
    exclude: MaskPlane,
) -> NDArray[np.float64]:
    """Return where to start the fits, as `Trails.trail`."""
    x, y = np.array(sources["x"], float), np.array(sources["y"], float)
    negative = sources["isNegative"][tried]
    found = source_moments(
        difference, x[tried], y[tried], negative=negative, exclude=exclude
    )
    x[tried], y[tried] = found.x, found.y
    return np.column_stack([x, y, shape.length[:, np.newaxis] * shape.axis])


def _split(rows: NDArray[np.intp], at_once: int) -> list[NDArray[np.intp]]:
    return [rows[i : i + at_once] for i in range(0, len(rows), at_once)]


def _side_of(found: Trails, side: int, width: float) -> NDArray[np.float64]:
    """Return sides of stamps to fit again from here; infinite where this was enough."""
    enough = found.length + _AROUND_FWHM * width
    return np.where(enough > side, enough, np.inf)


def _limits(
    difference: Difference, sources: DiaSources, shape: Elongation
) -> NDArray[np.float64]:
    """Return upper limits of lengths [arcsec]."""
    jacobian = tangent_jacobian(difference.wcs, sources["x"], sources["y"])
    east, north = np.einsum("nij,nj->in", jacobian, shape.axis)
    limits: NDArray[np.float64] = 3600 * shape.longest * np.hypot(east, north)
    return limits
