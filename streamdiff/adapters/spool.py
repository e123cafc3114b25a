"""Exposures on disk instead of in memory, while a stack of them is in work."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, Any, overload

import numpy as np
from numpy.typing import NDArray

from streamdiff.errors import StoreUnavailableError
from streamdiff.model import Exposure
from streamdiff.ports import ExposureSpool

# Gives a plane, read from disk as its pixels are used.
_Plane = Callable[[], NDArray[Any]]


class Spool(ExposureSpool):
    """Exposures whose planes lie in a temporary file; see `spool`.

    Each item is made anew, of planes mapped from the file: what is let go of
    takes no memory.

    Parameters
    ----------
    file : binary file
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._items: list[Callable[[], Exposure]] = []

    def append(self, exposure: Exposure) -> None:
        """Write an exposure to the file.

        Raises
        ------
        StoreUnavailableError
            If the disk is full.
        """
        try:
            self._items.append(self._written(exposure))
        except OSError as err:
            raise StoreUnavailableError(
                f"{exposure.id}: the folder for temporary files can not hold it: {err}"
            ) from err

    @overload
    def __getitem__(self, index: int) -> Exposure: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Exposure]: ...
    def __getitem__(self, index: int | slice) -> Exposure | Sequence[Exposure]:
        """Return an exposure, its planes mapped from the file."""
        if isinstance(index, slice):
            return [item() for item in self._items[index]]
        return self._items[index]()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._items)

    def _written(self, exposure: Exposure) -> Callable[[], Exposure]:
        image, variance, mask = (
            self._write(plane)
            for plane in (exposure.image, exposure.variance, exposure.mask)
        )
        factor = exposure.covariance_factor
        factor_at = self._write(factor) if isinstance(factor, np.ndarray) else None
        rest = _without_pixels(exposure)

        def item() -> Exposure:
            return replace(
                rest,
                image=image(),
                variance=variance(),
                mask=mask(),
                covariance_factor=factor_at() if factor_at else rest.covariance_factor,
            )

        return item

    def _write(self, plane: NDArray[Any]) -> _Plane:
        offset = self._file.seek(0, 2)
        self._file.write(np.ascontiguousarray(plane).data)
        self._file.flush()
        dtype, shape = plane.dtype, plane.shape
        return lambda: np.memmap(self._file, dtype, "r", offset, shape)


@contextmanager
def spool(directory: str | None = None) -> Iterator[Spool]:
    """Give a spool; what it wrote is gone at the end, and if the process is killed.

    Parameters
    ----------
    directory : str, optional
        Where its file lies; the system's folder for temporary files by default.
    """
    with tempfile.TemporaryFile(dir=directory, prefix="streamdiff-") as file:
        yield Spool(file)


def _without_pixels(exposure: Exposure) -> Exposure:
    """Return an exposure with planes of its shape that take no memory."""
    is_map = isinstance(exposure.covariance_factor, np.ndarray)
    return replace(
        exposure,
        image=np.broadcast_to(np.float32(0), exposure.shape),
        variance=np.broadcast_to(np.float32(0), exposure.shape),
        mask=np.broadcast_to(np.int32(0), exposure.shape),
        covariance_factor=1.0 if is_map else exposure.covariance_factor,
    )
