"""Rules on the options of a plugin: described, and refused where they are wrong."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from streamdiff.errors import ConfigError
from streamdiff.options import Option
from streamdiff.plugins import Plugin
from streamdiff.testing.contract.check import (
    NotApplicableError,
    Subject,
    checks_of,
    require,
)

_READ = "streamdiff.hookspecs: factories and their options"
# Of no type that an option can have.
_NONSENSE = object()


def every_option_has_a_type_and_a_sentence(subject: Subject) -> None:
    """Require annotations, and a numpydoc entry for each."""
    for option in _options(subject.plugin):
        require(
            option.type_name != "Any",
            expected=f"a type annotation of the option {option.name}",
            got="none",
            read=_READ,
        )
        require(
            option.doc,
            expected=f"a sentence on {option.name} under Attributes or Parameters",
            got="none in the docstring of the factory",
            read="numpydoc, and streamdiff.hookspecs",
        )


def an_unknown_option_is_refused(subject: Subject) -> None:
    """Require that a misspelt key is an error, before anything is consumed."""
    _require_refused(subject, "there_is_no_such_option", 1)


def an_option_of_another_type_is_refused(subject: Subject) -> None:
    """Require that each value is checked for its type."""
    for option in _options(subject.plugin):
        _require_refused(subject, option.name, _NONSENSE)


def an_option_out_of_its_range_is_refused(subject: Subject) -> None:
    """Require that limits are those that are declared."""
    beyond = [
        (option.name, value)
        for option in _options(subject.plugin)
        for value in _beyond(option)
    ]
    if not beyond:
        raise NotApplicableError("no option has a range")
    for name, value in beyond:
        _require_refused(subject, name, value)


def an_option_for_a_length_or_a_flux_names_its_unit(subject: Subject) -> None:
    """Require ``[pixel]``, ``_arcsec`` or the like where a number is a length."""
    for option in _options(subject.plugin):
        words = f"{option.name} {option.doc}".lower()
        if not re.search(r"\b(radius|width|side|distance|separation)\b", words):
            continue
        if "float" not in option.type_name:
            continue
        told = re.search(r"\[.+\]|_arcsec|_pixel|_mjd|ratio|fraction|over|fwhm", words)
        require(
            told,
            expected=f"the unit of {option.name} in brackets, such as [pixel]",
            got=repr(option.doc),
            read="streamdiff.hookspecs",
        )


CHECKS = checks_of(
    every_option_has_a_type_and_a_sentence,
    an_unknown_option_is_refused,
    an_option_of_another_type_is_refused,
    an_option_out_of_its_range_is_refused,
    an_option_for_a_length_or_a_flux_names_its_unit,
)


def _options(plugin: Plugin) -> tuple[Option, ...]:
    return plugin.described_options


def _beyond(option: Option) -> Iterator[float]:
    """Yield numbers just outside the limits of an option."""
    limits: Mapping[str, float] = option.limits
    if (low := limits.get("ge")) is not None:
        yield low - 1
    if (low := limits.get("gt")) is not None:
        yield low
    if (high := limits.get("le")) is not None:
        yield high + 1
    if (high := limits.get("lt")) is not None:
        yield high


def _require_refused(subject: Subject, name: str, value: Any) -> None:  # noqa: ANN401
    try:
        subject.plugin.build({**subject.options, name: value})
    except ConfigError:
        return
    require(
        False,
        expected=f"a ConfigError for {name} = {value!r:.40}",
        got="a plugin that was built",
        read="streamdiff.plugins.Plugin.build, annotated_types for ranges",
    )
