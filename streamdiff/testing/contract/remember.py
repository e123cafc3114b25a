"""Inputs that are made once, until a plugin has spoilt them."""

from collections.abc import Callable
from functools import cache
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")

_remembered: list[Any] = []


def remembered(function: Callable[P, T]) -> Callable[P, T]:
    """Return a function that makes its result once for the same arguments."""
    cached = cache(function)
    _remembered.append(cached)
    return cast("Callable[P, T]", cached)


def forget() -> None:
    """Have everything made anew: a plugin has written into what it was given."""
    for function in _remembered:
        function.cache_clear()
