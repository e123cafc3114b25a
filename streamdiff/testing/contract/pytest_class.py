"""The suite as a class of tests, one test per rule."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from streamdiff.errors import PluginError
from streamdiff.plugins import Plugin, discover
from streamdiff.testing.contract.check import (
    Arguments,
    Check,
    NotApplicableError,
    Subject,
)
from streamdiff.testing.contract.suite import checks

_subjects: dict[type, Subject] = {}


class PluginContract:
    """Tests that an installed plugin keeps the contract; inherit, and name it.

    ::

        class TestContract(PluginContract):
            kind = "subtract"
            name = "mine"

    Attributes
    ----------
    kind, name : str
        As in the configuration.
    options : mapping of str to value
        With which it is built, where defaults do not do.
    cases : mapping of str to tuple
        Arguments of its method beside those of the suite.
    """

    kind: ClassVar[str]
    name: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    cases: ClassVar[Mapping[str, Arguments]] = MappingProxyType({})

    def pytest_generate_tests(self, metafunc: Any) -> None:  # noqa: ANN401 - of pytest
        """Make a test of each rule."""
        rules = checks(self.kind)
        metafunc.parametrize("rule", rules, ids=[rule.name for rule in rules])

    def test_contract(self, rule: Check) -> None:
        """Test one rule."""
        try:
            rule(self._subject())
        except NotApplicableError as err:
            import pytest  # noqa: PLC0415 - the suite runs without it, too

            pytest.skip(str(err))

    def _subject(self) -> Subject:
        """Return the plugin, built once for all tests of a class."""
        made = type(self)
        if made not in _subjects:
            _subjects[made] = Subject(
                plugin=self._plugin(), options=self.options, cases=self.cases
            )
        return _subjects[made]

    def _plugin(self) -> Plugin:
        registry = discover()
        try:
            return registry.get(self.kind, self.name)
        except PluginError as err:
            raise AssertionError(
                f"{err} Install the package: pip install -e ."
            ) from err
