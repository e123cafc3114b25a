"""A check of the contract, what it checks, and how one that fails is told."""

from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing import get_context
from typing import Any, TypeVar

from streamdiff.plugins import Plugin

Arguments = tuple[Any, ...]
T = TypeVar("T")
# Calls a picklable function, with these arguments, in another process.
Elsewhere = Callable[..., Any]


class ContractError(AssertionError):
    """A plugin does not keep the contract of its kind.

    Attributes
    ----------
    expected, got : str
        What was to be, and what came.
    read : str
        Where the rule is written down.
    """

    def __init__(self, *, expected: str, got: str, read: str) -> None:
        super().__init__(f"expected {expected}; got {got}; see {read}")
        self.expected, self.got, self.read = expected, got, read


class NotApplicableError(Exception):
    """A check has nothing to say on this plugin; the message says why."""


def require(kept: object, *, expected: str, got: object, read: str) -> None:
    """Raise unless a rule is kept.

    Raises
    ------
    ContractError
        If it is not.
    """
    if not kept:
        raise ContractError(expected=expected, got=str(got), read=read)


def in_new_process(function: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
    """Return what a function returns in a process of its own, freshly started."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The plugin that is checked.

    Attributes
    ----------
    plugin : Plugin
    options : mapping of str to value
        With which it is built.
    cases : mapping of str to tuple
        Arguments of its method that the author adds to those of the suite, by name:
        a reader, say, knows alone what its files look like.
    elsewhere : callable
        Calls a function in another process.
    """

    plugin: Plugin
    options: Mapping[str, Any] = field(default_factory=dict)
    cases: Mapping[str, Arguments] = field(default_factory=dict)
    elsewhere: Elsewhere = in_new_process
    _known: dict[str, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def built(self) -> Any:  # noqa: ANN401
        """Return the plugin, built from its options."""
        return self.plugin.build(self.options)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return what several checks need, made when the first one asks for it."""
        if name not in self._known:
            self._known[name] = make()
        found: T = self._known[name]
        return found

    def __str__(self) -> str:
        return f"{self.plugin.kind}.{self.plugin.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One rule of the contract, by the name that a failure is known by.

    Attributes
    ----------
    name : str
    run : callable
        Returns figures that were measured on the way; raises a `ContractError`.
    """

    name: str
    run: Callable[[Subject], Mapping[str, float] | None]

    @property
    def title(self) -> str:
        """Return the rule as a sentence."""
        return self.name.replace("_", " ")

    def __call__(self, subject: Subject) -> Mapping[str, float]:
        """Return what was measured.

        Raises
        ------
        ContractError
            If the plugin does not keep the rule.
        NotApplicableError
            If the rule says nothing on this plugin.
        """
        return self.run(subject) or {}


def checks_of(
    *functions: Callable[[Subject], Mapping[str, float] | None],
) -> tuple[Check, ...]:
    """Return checks that have the names of their functions."""
    return tuple(Check(name=f.__name__, run=f) for f in functions)
