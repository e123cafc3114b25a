"""Loops that numpy can not express, compiled by numba.

A compiled function is compiled as a whole, with all that it calls: those functions
are `inlined`. Else a process that compiles it would call what it has compiled of
them on their own, while one that finds machine code on disk has but the copies that
came along; as sums may be reordered, the two would round in different ways.
"""

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
    try:
        return _jit(function, nogil=True, cache=True)
    except RuntimeError:  # numba found no folder for its cache
        return _jit(function, nogil=True)


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that is compiled into those that call it, for them alone."""
    return _jit(function, forceinline=True)


def _jit(function: Callable[P, R], **options: Any) -> Callable[P, R]:  # noqa: ANN401
    jit = njit(fastmath=FAST_MATH, error_model="numpy", **options)
    return cast("Callable[P, R]", jit(function))
