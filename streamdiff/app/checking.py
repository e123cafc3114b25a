"""The contract of a plugin, checked in a process of its own.

A plugin that hangs, or takes its process along, breaks the rule that was checked
just then; the rest of the suite is told as not checked.
"""

import multiprocessing
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from streamdiff.app.environment import find_plugins
from streamdiff.testing.contract import Subject, Verdict, checks
from streamdiff.testing.contract.costs import costs
from streamdiff.testing.contract.suite import judge

_START_S = 120.0
# The last row: what a call costs; no rule.
COSTS = "costs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """How one check ended, as text that crosses processes.

    Attributes
    ----------
    check : str
    verdict : Verdict
    expected, got, read : str
        Where the rule is broken.
    note : str
        Why it says nothing on this plugin.
    figures : mapping of str to float
    seconds : float
    """

    check: str
    verdict: Verdict
    expected: str = ""
    got: str = ""
    read: str = ""
    note: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return asdict(self)


def check_plugin(
    kind: str, name: str, options: Mapping[str, Any], *, timeout_s: float
) -> Iterator[Row]:
    """Yield how each check of a plugin ends, and at last what it costs.

    Parameters
    ----------
    kind, name : str
    options : mapping of str to value
    timeout_s : float
        For one check.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, kind, name, dict(options)))
    process.start()
    theirs.close()
    names = [*(check.name for check in checks(kind)), COSTS]
    wait_s = timeout_s + _START_S
    try:
        for number, check in enumerate(names):
            try:
                row = _received(ours, check, wait_s)
            except (EOFError, ConnectionError):
                process.join(timeout_s)
                row = _died(check, process.exitcode)
            yield row
            if row.got.startswith(_LOST):
                yield from (_unchecked(left) for left in names[number + 1 :])
                return
            wait_s = timeout_s
    finally:
        process.kill()
        process.join()
        ours.close()


_LOST = "no end"


def _received(pipe: Connection, check: str, wait_s: float) -> Row:
    if pipe.poll(wait_s):
        row: Row = pipe.recv()
        return row
    return Row(
        check=check,
        verdict=Verdict.BROKEN,
        expected=f"an end within {wait_s:g} s",
        got=f"{_LOST}: it hangs, or is slow; --timeout-s waits longer",
        read="[stream] visit_timeout_s",
    )


def _died(check: str, exit_code: int | None) -> Row:
    return Row(
        check=check,
        verdict=Verdict.BROKEN,
        expected="a process that goes on",
        got=f"{_LOST}: the process ended with exit code {exit_code}",
        read="streamdiff.stages: raise an error of streamdiff.errors",
    )


def _unchecked(check: str) -> Row:
    note = "not checked, since the process was lost"
    return Row(check=check, verdict=Verdict.NOT_APPLICABLE, note=note)


def _serve(pipe: Connection, kind: str, name: str, options: dict[str, Any]) -> None:
    """Run in the process: send a row for each check."""
    subject = Subject(plugin=find_plugins().get(kind, name), options=options)
    for check in checks(kind):
        result = judge(check, subject)
        error = result.error
        pipe.send(
            Row(
                check=check.name,
                verdict=result.verdict,
                expected=error.expected if error else "",
                got=error.got if error else "",
                read=error.read if error else "",
                note=result.note,
                figures=dict(result.figures),
                seconds=result.seconds,
            )
        )
    pipe.send(_costs(subject))


def _costs(subject: Subject) -> Row:
    try:
        return Row(check=COSTS, verdict=Verdict.KEPT, figures=costs(subject))
    except Exception as err:  # noqa: BLE001 - what is wrong has been told
        return Row(check=COSTS, verdict=Verdict.NOT_APPLICABLE, note=str(err))
