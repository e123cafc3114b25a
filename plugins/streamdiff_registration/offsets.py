"""Offsets of stars between two images."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.point_source import fit_positions
from streamdiff.model import UNUSABLE, Exposure
from streamdiff_registration.match import CommonStars


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Offsets:
    """How far stars are in the template from where they are in the science image.

    Attributes
    ----------
    position : ndarray of float64, shape (n, 2)
        x and y in the science image [pixel].
    offset : ndarray of float64, shape (n, 2)
        Along x and y, template minus science [pixel].
    error : ndarray of float64, shape (n, 2)
        Standard deviation of ``offset`` [pixel].
    """

    position: NDArray[np.float64]
    offset: NDArray[np.float64]
    error: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.position)

    def take(self, rows: NDArray[np.bool_]) -> "Offsets":
        """Return the stars of a boolean array."""
        return Offsets(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @property
    def median(self) -> tuple[float, float]:
        """Return the median offset along x and y [pixel]."""
        x, y = np.median(self.offset, axis=0)
        return float(x), float(y)

    @property
    def rms(self) -> float:
        """Return the rms length of the offsets, weighted by their errors [pixel]."""
        along = np.average(self.offset**2, axis=0, weights=self.error**-2)
        return float(np.sqrt(along.sum()))


def measure_offsets(
    science: Exposure, template: Exposure, stars: CommonStars, *, error_floor: float
) -> Offsets:
    """Return the offsets of common stars, each position fitted with its PSF.

    Parameters
    ----------
    science, template : Exposure
        On the same pixels.
    stars : CommonStars
    error_floor : float
        Error of each position, along each axis, beyond that of the fit [pixel].

    Notes
    -----
    Stars whose fit failed in one of the images are left out.
    """
    if not len(stars):
        nothing = np.zeros((0, 2))
        return Offsets(position=nothing, offset=nothing, error=nothing)
    here, here_error = _fitted(science, stars.science)
    there, there_error = _fitted(template, stars.template)
    error = np.sqrt(here_error**2 + there_error**2 + 2 * error_floor**2)
    offsets = Offsets(position=here, offset=there - here, error=error)
    fitted = np.asarray(np.isfinite(error).all(axis=1))
    return offsets.take(fitted)


def _fitted(
    exposure: Exposure, start: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return positions and their errors, both of shape (n, 2) [pixel]."""
    fit = fit_positions(exposure, *start.T, exclude=UNUSABLE)
    return np.column_stack([fit.x, fit.y]), np.column_stack([fit.x_error, fit.y_error])
