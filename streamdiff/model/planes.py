"""What every noun that holds image planes needs: read-only views of one shape."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view of an array that can not be written through."""
    view = array.view()
    view.flags.writeable = False
    return view


def freeze_planes(
    noun: object, *, float32: Iterable[str] = (), int32: Iterable[str] = ()
) -> tuple[int, int]:
    """Replace the planes of a frozen dataclass by read-only views of its type.

    Parameters
    ----------
    noun : object
        A frozen dataclass under construction.
    float32, int32 : iterable of str
        Names of its planes, by the type that they are to have. Planes that are
        `None` are left alone.

    Returns
    -------
    tuple of int
        The common shape (ny, nx).

    Raises
    ------
    ValueError
        If a plane is not two-dimensional, or shapes differ.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for names, dtype in ((float32, np.float32), (int32, np.int32)):
        for name in names:
            plane = getattr(noun, name)
            if plane is None:
                continue
            array = np.asarray(plane, dtype=dtype)
            shapes[name] = array.shape
            object.__setattr__(noun, name, read_only(array))
    if len(set(shapes.values())) != 1 or any(len(s) != 2 for s in shapes.values()):
        raise ValueError(f"planes must be two-dimensional and of one shape: {shapes}")
    ny, nx = next(iter(shapes.values()))
    return ny, nx
