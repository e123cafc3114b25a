"""What a detector does to the light that falls on it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from streamdiff.model import MaskPlane


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A detector and its exposures.

    Attributes
    ----------
    instrument : str
    detector : int
    exposure_time_s : float
    gain : float, optional
        Electrons per nJy: the variance grows by flux / gain. Without it the
        noise is that of the sky alone.
    saturation : float, optional
        Largest flux of a pixel [nJy]. More bleeds along the column, all of it.
    edge : int
        Width of the border that is flagged `MaskPlane.EDGE` [pixel].
    """

    instrument: str = "SimCam"
    detector: int = 0
    exposure_time_s: float = 30.0
    gain: float | None = None
    saturation: float | None = None
    edge: int = 0

    def source_variance(self, flux: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the photon noise of sources, the shape of ``flux`` [nJy**2]."""
        if self.gain is None:
            return np.zeros_like(flux)
        charge = np.clip(np.nan_to_num(flux), 0, self.saturation)
        variance: NDArray[np.float64] = charge / self.gain
        return variance

    def read_out(self, image: NDArray[np.float64], mask: NDArray[np.int32]) -> None:
        """Clip and bleed saturated pixels, and flag the border, in place."""
        if self.saturation is not None:
            saturated = _bleed(image, self.saturation) & ~np.isnan(image)
            image[saturated] = self.saturation
            mask[saturated] |= MaskPlane.SAT
        if self.edge:
            inside = np.zeros(mask.shape, bool)
            inside[self.edge : -self.edge, self.edge : -self.edge] = True
            mask[~inside] |= MaskPlane.EDGE


def _bleed(image: NDArray[np.float64], level: float) -> NDArray[np.bool_]:
    """Return True where pixels are full, the flux above spread along columns."""
    full = image > level
    in_column = np.array([[0, 1, 0], [0, 1, 0], [0, 1, 0]])
    labels, n_runs = ndimage.label(full, in_column)
    excess = ndimage.sum_labels(image - level, labels, np.arange(1, n_runs + 1))
    for (rows, columns), flux in zip(
        ndimage.find_objects(labels), np.atleast_1d(excess), strict=True
    ):
        spill = int(np.ceil(flux / level / 2))
        full[max(rows.start - spill, 0) : rows.stop + spill, columns] = True
    return full
