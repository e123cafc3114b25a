"""The stars that a matching kernel was fitted to, and how well it fits them."""

from dataclasses import dataclass, fields
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from streamdiff.model.planes import read_only


class CandidateStatus(StrEnum):
    """What became of a kernel candidate."""

    USED = "used"
    """The kernel is fitted to it."""
    CONTROL = "control"
    """Held back from the fit, which is judged by it."""
    UNUSABLE = "unusable"
    """Too many of its pixels can not be used."""
    ILL_CONDITIONED = "ill-conditioned"
    """Rejected: it does not determine its own kernel."""
    ODD_SUM = "odd-sum"
    """Rejected: its own kernel has an unusual sum."""
    POOR_LOCAL_FIT = "poor-local-fit"
    """Rejected: not even its own kernel fits it."""
    POOR_FIT = "poor-fit"
    """Rejected: the kernel of the other candidates does not fit it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KernelCandidates:
    """Kernel candidates that were tried, column by column, the best first.

    A quantity that was not measured is NaN.

    Attributes
    ----------
    x, y : ndarray of float64, shape (n,)
        Positions [pixel].
    snr : ndarray of float64, shape (n,)
        Signal-to-noise ratio.
    status : ndarray of str, shape (n,)
        Values of `CandidateStatus`.
    kernel_sum : ndarray of float64, shape (n,)
        Sum of the kernel that fits the candidate alone.
    local_mean, local_rms : ndarray of float64, shape (n,)
        Mean, and root mean square, of what this kernel leaves of the candidate
        [sigma per pixel].
    spatial_mean, spatial_rms : ndarray of float64, shape (n,)
        The same of the kernel that is fitted to all.
    targets, residuals : ndarray of float32, shape (n, m, m), or None
        Pixels of the image that is to be matched around each candidate, and what
        the last kernel that it was tried with leaves of them.

    Raises
    ------
    ValueError
        If columns differ in length, a status is unknown, or stamps are not square.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    snr: NDArray[np.float64]
    status: NDArray[np.str_]
    kernel_sum: NDArray[np.float64]
    local_mean: NDArray[np.float64]
    local_rms: NDArray[np.float64]
    spatial_mean: NDArray[np.float64]
    spatial_rms: NDArray[np.float64]
    targets: NDArray[np.float32] | None = None
    residuals: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        status = np.asarray(self.status, str)
        if unknown := set(status.tolist()) - set(CandidateStatus):
            raise ValueError(f"no candidate status is called {sorted(unknown)}")
        object.__setattr__(self, "status", read_only(status))
        for name in COLUMNS:
            column = np.asarray(getattr(self, name), float)
            object.__setattr__(self, name, read_only(column))
        for name in ("targets", "residuals"):
            if (stamps := getattr(self, name)) is not None:
                stamps = np.asarray(stamps, np.float32)
                object.__setattr__(self, name, read_only(stamps))
        self._check_shapes()

    def __len__(self) -> int:
        return len(self.x)

    def having(self, status: CandidateStatus) -> NDArray[np.bool_]:
        """Return True for the candidates of a status; shape (n,)."""
        found: NDArray[np.bool_] = self.status == status.value
        return found

    def _check_shapes(self) -> None:
        shapes = {name: getattr(self, name).shape for name in ("status", *COLUMNS)}
        n = self.x.size
        if any(shape != (n,) for shape in shapes.values()):
            raise ValueError(f"columns must be of one length, got {shapes}")
        for stamps in (self.targets, self.residuals):
            if stamps is not None and (
                stamps.ndim != 3 or len(stamps) != n or len(set(stamps.shape[1:])) > 1
            ):
                raise ValueError(f"{n} candidates need {n} squares, got {stamps.shape}")


# The columns that hold numbers.
COLUMNS = tuple(
    field.name
    for field in fields(KernelCandidates)
    if field.name not in {"status", "targets", "residuals"}
)
