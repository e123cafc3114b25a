"""Loops that numpy can not express, compiled by numba."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")

# Sums may be reordered; NaN and infinity keep their meaning.
FAST_MATH = {"reassoc", "contract", "arcp", "nsz"}


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function compiled on its first call, without the interpreter's lock.

    The machine code is kept on disk (``NUMBA_CACHE_DIR``, else beside the module)
    where that can be written to, and made anew in every process elsewhere.
    """
    options: dict[str, Any] = {
        "nogil": True,
        "fastmath": FAST_MATH,
        "error_model": "numpy",
    }
    try:
        return cast("Callable[P, R]", njit(cache=True, **options)(function))
    except RuntimeError:  # numba found no folder for its cache
        return cast("Callable[P, R]", njit(**options)(function))
