"""All rules for a kind, and what a run of them came to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from time import perf_counter

from streamdiff.testing.contract import always, options
from streamdiff.testing.contract.check import (
    Check,
    ContractError,
    NotApplicableError,
    Subject,
)
from streamdiff.testing.contract.kinds import KINDS


class Verdict(StrEnum):
    """How a check can end."""

    KEPT = "kept"
    BROKEN = "broken"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one check ended.

    Attributes
    ----------
    check : Check
    verdict : Verdict
    error : ContractError or None
        What was expected, and what came, where the rule is broken.
    note : str
        Why it is not applicable.
    figures : mapping of str to float
        What was measured on the way.
    seconds : float
    """

    check: Check
    verdict: Verdict
    error: ContractError | None = None
    note: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0


def checks(kind: str) -> tuple[Check, ...]:
    """Return all rules for a kind, those of all kinds first.

    Raises
    ------
    KeyError
        If there is no such kind.
    """
    return (*always.CHECKS, *options.CHECKS, *KINDS[kind].checks)


def run(subject: Subject) -> Iterator[Result]:
    """Yield how each check ends, one after another."""
    return (judge(check, subject) for check in checks(subject.plugin.kind))


def judge(check: Check, subject: Subject) -> Result:
    """Return how one check ends."""
    start = perf_counter()
    try:
        figures = check(subject)
    except ContractError as err:
        seconds = perf_counter() - start
        return Result(check=check, verdict=Verdict.BROKEN, error=err, seconds=seconds)
    except NotApplicableError as err:
        return Result(check=check, verdict=Verdict.NOT_APPLICABLE, note=str(err))
    except Exception as err:  # noqa: BLE001 - of what the plugin has returned
        error = ContractError(
            expected=f"results that {check.title} can be judged from",
            got=f"{type(err).__name__}: {err}",
            read="streamdiff.stages",
        )
        return Result(check=check, verdict=Verdict.BROKEN, error=error)
    seconds = perf_counter() - start
    return Result(check=check, verdict=Verdict.KEPT, figures=figures, seconds=seconds)
