"""Pages of planes that are mapped from a file."""

import mmap

import numpy as np
from numpy.typing import NDArray


def let_go_of_pages(*planes: NDArray[np.generic]) -> None:
    """Let the system take back what has been read of planes mapped for reading.

    What is looked at again is read again. Planes in memory are left alone.
    """
    for plane in planes:
        if (mapping := mapping_of(plane)) is not None:
            mapping.madvise(mmap.MADV_DONTNEED)


def mapping_of(plane: NDArray[np.generic]) -> mmap.mmap | None:
    """Return the mapping below a plane that is mapped for reading only."""
    below: object = plane
    while isinstance(below, np.ndarray):
        if isinstance(below, np.memmap) and below.mode != "r":
            return None
        below = below.base
    return below if isinstance(below, mmap.mmap) else None
