"""Exposures on disk instead of in memory, while a stack of them is in work."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, overload

from streamdiff.adapters.mapped_planes import write_exposure
from streamdiff.errors import StoreUnavailableError
from streamdiff.model import Exposure
from streamdiff.ports import ExposureSpool


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
            self._items.append(write_exposure(self._file, exposure))
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
