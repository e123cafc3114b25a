"""Stars that are known before an image is looked at."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamdiff.model.planes import read_only


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StarList:
    """Where a catalogue puts stars on an image.

    Attributes
    ----------
    x, y : ndarray of float64, shape (n,)
        Positions [pixel], on the image.
    flux : ndarray of float64, shape (n,)
        In the unit of the catalogue, whatever it is; positive.
    snr : ndarray of float64, shape (n,)
        Signal-to-noise ratio in this image, not negative.

    Raises
    ------
    ValueError
        If columns differ in length, or a value is not finite.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    flux: NDArray[np.float64]
    snr: NDArray[np.float64]

    def __post_init__(self) -> None:
        columns = {
            name: np.array(getattr(self, name), float)
            for name in ("x", "y", "flux", "snr")
        }
        shapes = {name: column.shape for name, column in columns.items()}
        if len(set(shapes.values())) != 1 or columns["x"].ndim != 1:
            raise ValueError(f"columns of stars must be of one length, got {shapes}")
        for name, column in columns.items():
            if not np.isfinite(column).all():
                raise ValueError(f"{name} of stars must be finite")
            object.__setattr__(self, name, read_only(column))

    def __len__(self) -> int:
        return len(self.x)
