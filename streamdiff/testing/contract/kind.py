"""What the suite knows of a kind of plugins: its method, inputs and outputs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from traceback import extract_tb
from typing import Any

from streamdiff.errors import StreamdiffError
from streamdiff.model import Skip
from streamdiff.testing.contract.check import Arguments, Check, ContractError, Subject

# Checks what came of some arguments.
Validation = Callable[[Subject, Arguments, Any], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of plugins.

    Attributes
    ----------
    name : str
        As in the configuration.
    method : str
        What is called, with the arguments of a case.
    read : str
        Where the contract is written down.
    cases : callable
        Returns arguments by name; the first are usual ones, others odd, tiny, masked,
        or not there at all.
    validate : callable
        Raises `ContractError` for a result that the kind does not allow.
    checks : tuple of Check
        Rules of this kind alone.
    """

    name: str
    method: str
    read: str
    cases: Callable[[], Mapping[str, Arguments]]
    validate: Validation
    checks: tuple[Check, ...] = ()

    def cases_of(self, subject: Subject) -> Mapping[str, Arguments]:
        """Return the cases of the suite, and those of the author."""
        return {**self.cases(), **subject.cases}

    def call(self, subject: Subject, arguments: Arguments) -> Any:  # noqa: ANN401
        """Return a result, a `Skip`, or an error that was raised on purpose.

        Raises
        ------
        ContractError
            For any other error.
        """
        return call(subject.built, self.method, arguments, self.read)

    def result(self, subject: Subject, arguments: Arguments) -> Any:  # noqa: ANN401
        """Return a valid result, where there must be one.

        Raises
        ------
        ContractError
            If there is none, or it is not valid.
        """
        result = self.call(subject, arguments)
        if isinstance(result, Skip | StreamdiffError):
            raise ContractError(
                expected="a result: nothing is wrong with these inputs",
                got=_told(result),
                read=self.read,
            )
        self.validate(subject, arguments, result)
        return result


def call(built: Any, method: str, arguments: Arguments, read: str) -> Any:  # noqa: ANN401
    """Return what a method returns, or the error that it raised on purpose.

    Raises
    ------
    ContractError
        For any other error.
    """
    try:
        return getattr(built, method)(*arguments)
    except StreamdiffError as err:
        return err
    except Exception as err:
        where = extract_tb(err.__traceback__)[-1]
        raise ContractError(
            expected="a result, a Skip, or an error of streamdiff.errors",
            got=f"{_told(err)} ({where.name}, line {where.lineno} of {where.filename})",
            read=read,
        ) from err


def _told(result: object) -> str:
    return f"{type(result).__name__}: {result}"
