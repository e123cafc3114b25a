"""The contract of plugins as checks, for pytest and for ``streamdiff plugins check``.

A rule that is broken says what was expected, what came, and where to read. As tests::

    from streamdiff.testing.contract import PluginContract

    class TestContract(PluginContract):
        kind = "subtract"
        name = "mine"

Skips of rules that say nothing on a plugin are told, too.
"""

from streamdiff.testing.contract.check import (
    Check,
    ContractError,
    NotApplicableError,
    Subject,
)
from streamdiff.testing.contract.pytest_class import PluginContract
from streamdiff.testing.contract.read import FilesInMemory, event_of
from streamdiff.testing.contract.suite import Result, Verdict, checks, run

__all__ = [
    "Check",
    "ContractError",
    "FilesInMemory",
    "NotApplicableError",
    "PluginContract",
    "Result",
    "Subject",
    "Verdict",
    "checks",
    "event_of",
    "run",
]
