"""Rules that hold for plugins of every kind, whatever they compute."""

import gc
import pickle
import tracemalloc
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamdiff.errors import ConfigError, PluginError, StreamdiffError
from streamdiff.model import Skip
from streamdiff.pipeline.side_effects import SideEffects, watch
from streamdiff.testing.contract.check import (
    Arguments,
    ContractError,
    Subject,
    checks_of,
    require,
)
from streamdiff.testing.contract.fingerprint import fingerprint
from streamdiff.testing.contract.kind import Kind, call
from streamdiff.testing.contract.kinds import KINDS, kind_of
from streamdiff.testing.contract.remember import forget

_PURE = "streamdiff.stages: inputs are never changed, results depend on them alone"
_THREADS = 4
# Caches fill up during the first calls. An input, or a plane, is larger than this.
_WARM_UP, _CALLS, _MOST_KEPT_BYTES = 1, 1, 32 << 10


def it_can_be_built_from_its_defaults(subject: Subject) -> None:
    """Require that nothing but the options of the check is needed."""
    try:
        _ = subject.built
    except (ConfigError, PluginError) as err:
        raise ContractError(
            expected="a plugin that can be built; give options that have no default",
            got=str(err),
            read="streamdiff.plugins.Plugin.build",
        ) from err


def results_are_what_the_kind_allows(subject: Subject) -> None:
    """Require results, skips and typed errors, on ordinary and odd inputs alike."""
    for name, call_of in _calls(subject).items():
        with _in_case(name):
            if call_of.error is not None:
                raise call_of.error
            if not isinstance(call_of.result, Skip | StreamdiffError):
                kind = kind_of(subject)
                kind.validate(subject, call_of.arguments, call_of.result)


def inputs_are_left_as_they_are(subject: Subject) -> None:
    """Require that every bit of the inputs is what it was."""
    for name, call_of in _calls(subject).items():
        with _in_case(name):
            require(
                not call_of.changed,
                expected="inputs that are left as they are",
                got=f"changed: {', '.join(call_of.changed)}",
                read=_PURE,
            )


def nothing_else_is_touched(subject: Subject) -> None:
    """Require silence, and the state of the process as it was."""
    for name, call_of in _calls(subject).items():
        with _in_case(name):
            require(
                not call_of.traces,
                expected="no output and no trace in the process; log with structlog",
                got=", ".join(call_of.traces),
                read="streamdiff.pipeline.side_effects",
            )


def equal_inputs_give_equal_results(subject: Subject) -> None:
    """Require the same bits from another call, and from another instance."""
    kind = kind_of(subject)
    other = subject.plugin.build(subject.options)
    for name, call_of in _calls(subject).items():
        with _in_case(name):
            again = fingerprint(call(other, kind.method, call_of.arguments, kind.read))
            require(
                again == call_of.fingerprint,
                expected="the same result, bit for bit, of the same inputs",
                got="another one: seed random numbers from the exposure's id",
                read=_PURE,
            )


def it_can_be_pickled(subject: Subject) -> None:
    """Require that a plugin, and its copy, give the same."""
    copy = _copy(subject)
    kind = kind_of(subject)
    call_of = next(iter(_calls(subject).values()))
    require(
        fingerprint(call(copy, kind.method, call_of.arguments, kind.read))
        == call_of.fingerprint,
        expected="the same result from a pickled copy",
        got="another one",
        read="streamdiff.stages: workers get plugins from other processes",
    )


def another_process_gives_the_same(subject: Subject) -> None:
    """Require the same bits where hashes, caches and memory are others."""
    _copy(subject)
    kind = kind_of(subject)
    case = next(iter(kind.cases()))
    here = _calls(subject)[case].fingerprint
    there = subject.elsewhere(_digest, subject.built, kind.name, case)
    require(
        here == there,
        expected="the same result, bit for bit, in another process",
        got="another one: does it depend on the order of a set, or on a cache?",
        read=_PURE,
    )


def threads_do_not_disturb_each_other(subject: Subject) -> None:
    """Require that calls at the same time give what calls one by one give."""
    kind = kind_of(subject)
    calls = list(_calls(subject).values())
    calls += calls[:1] * (_THREADS - 1)
    with ThreadPoolExecutor(_THREADS) as pool:
        together = list(
            pool.map(lambda c: fingerprint(kind.call(subject, c.arguments)), calls)
        )
    require(
        together == [call_of.fingerprint for call_of in calls],
        expected="the same results from several threads at a time",
        got="others: an instance keeps nothing of a call, not even for itself",
        read=_PURE,
    )


def memory_does_not_grow(subject: Subject) -> Mapping[str, float]:
    """Require that a call keeps nothing of its inputs and of its results."""
    kind = kind_of(subject)
    arguments = pickle.dumps(_usual(subject))

    def use() -> None:
        kind.call(subject, pickle.loads(arguments))  # noqa: S301 - just made

    for _ in range(_WARM_UP):
        use()
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    try:
        for _ in range(_CALLS):
            use()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    kept = (after - before) / _CALLS
    require(
        kept < _MOST_KEPT_BYTES,
        expected="no more memory after a call than before it",
        got=f"{kept / 1024:.0f} KiB more after each call",
        read=_PURE,
    )
    return {"kept_bytes": max(kept, 0.0)}


CHECKS = checks_of(
    it_can_be_built_from_its_defaults,
    results_are_what_the_kind_allows,
    inputs_are_left_as_they_are,
    nothing_else_is_touched,
    equal_inputs_give_equal_results,
    it_can_be_pickled,
    another_process_gives_the_same,
    threads_do_not_disturb_each_other,
    memory_does_not_grow,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """What came of a case, and what was noticed on the way."""

    arguments: Arguments
    result: Any
    error: ContractError | None
    fingerprint: str
    changed: tuple[str, ...]
    traces: tuple[str, ...]


def _calls(subject: Subject) -> Mapping[str, _Call]:
    """Return one call of each case; several checks judge it."""
    kind = kind_of(subject)
    return subject.once(
        "calls",
        lambda: {
            name: _observed(kind, subject, arguments)
            for name, arguments in kind.cases_of(subject).items()
        },
    )


def _observed(kind: Kind, subject: Subject, arguments: Arguments) -> _Call:
    before = [fingerprint(argument) for argument in arguments]
    effects, open_files = SideEffects(), _open_files()
    result, error = None, None
    with watch(effects):
        try:
            result = kind.call(subject, arguments)
        except ContractError as err:
            error = err
    if (more := _open_files() - open_files) > 0:
        effects.found.append(f"left {more} files open")
    changed = tuple(
        type(argument).__name__
        for argument, was in zip(arguments, before, strict=True)
        if fingerprint(argument) != was
    )
    if changed:
        forget()
    return _Call(
        arguments=arguments,
        result=result,
        error=error,
        fingerprint=fingerprint(result),
        changed=changed,
        traces=tuple(effects.found),
    )


def _usual(subject: Subject) -> Arguments:
    return next(iter(kind_of(subject).cases_of(subject).values()))


def _copy(subject: Subject) -> Any:  # noqa: ANN401
    try:
        return pickle.loads(pickle.dumps(subject.built))  # noqa: S301 - just made
    except Exception as err:
        raise ContractError(
            expected="a plugin that can be pickled: a class at the top of a module",
            got=f"{type(err).__name__}: {err}",
            read="streamdiff.stages: workers get plugins from other processes",
        ) from err


def _digest(built: Any, kind: str, case: str) -> str:  # noqa: ANN401
    """Return what comes of a case in this process; its inputs are made here."""
    known = KINDS[kind]
    return fingerprint(call(built, known.method, known.cases()[case], known.read))


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@contextmanager
def _in_case(name: str) -> Iterator[None]:
    """Name the inputs that a rule was broken on."""
    try:
        yield
    except ContractError as err:
        raise ContractError(
            expected=f"{err.expected}, on inputs that are {name!r}",
            got=err.got,
            read=err.read,
        ) from err
