"""What was found of sources that were injected."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recovery:
    """Injected sources, and what was found of them; arrays of shape (n,).

    Attributes
    ----------
    x, y : ndarray of float64
        True positions [pixel].
    flux : ndarray of float64
        True fluxes [unit of the science image].
    snr : ndarray of float64
        Ideal signal over noise, in the science image alone.
    is_found : ndarray of bool
        Whether a DiaSource lies there.
    forced_flux, forced_flux_error : ndarray of float64
        On the difference at the true position, on the scale of the science image;
        NaN where no pixel is usable.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    flux: NDArray[np.float64]
    snr: NDArray[np.float64]
    is_found: NDArray[np.bool_]
    forced_flux: NDArray[np.float64]
    forced_flux_error: NDArray[np.float64]

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @property
    def metrics(self) -> dict[str, float]:
        """Return the numbers for the report on a visit."""
        n = self.x.size
        found = float(self.is_found.sum())
        return {"n_injected": float(n), "n_injected_found": found}
