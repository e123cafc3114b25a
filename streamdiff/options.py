"""The options of a plugin as its code documents them: type, range, default, unit.

A factory's annotations say the types and, by `annotated_types`, the ranges; its
docstring, in numpydoc's form, says what each option is, with its unit in brackets.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_BOUNDS: Mapping[str, str] = MappingProxyType(
    {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
)
_SECTIONS = ("Attributes", "Parameters")
_UNIT = re.compile(r"\[([^\]]+)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of a plugin.

    Attributes
    ----------
    name, type_name : str
    default : object
        `None`, too, where it is required.
    is_required : bool
    limits : mapping of str to float
        Bounds of a number: ``ge``, ``gt``, ``le``, ``lt``.
    choices : tuple of str
        All values there are; empty for any.
    doc : str
        What it is; empty where the docstring does not say.
    """

    name: str
    type_name: str
    default: object
    is_required: bool
    limits: Mapping[str, float]
    choices: tuple[str, ...]
    doc: str

    @property
    def unit(self) -> str:
        """Return the unit that the description has in brackets, or nothing."""
        found = _UNIT.search(self.doc)
        return found[1] if found else ""

    @property
    def range(self) -> str:
        """Return what is allowed beyond the type, or nothing."""
        if self.choices:
            return " | ".join(self.choices)
        bounds = (f"{_BOUNDS[name]} {limit:g}" for name, limit in self.limits.items())
        return ", ".join(bounds)


def described(
    factory: Callable[..., Any], model: type[BaseModel]
) -> tuple[Option, ...]:
    """Return the options of a factory, in its order.

    Parameters
    ----------
    factory : callable
    model : type of pydantic.BaseModel
        Made from the factory's signature.
    """
    docs = _documented(factory)
    return tuple(
        Option(
            name=name,
            type_name=type_name(field.annotation),
            default=None
            if field.is_required()
            else field.get_default(call_default_factory=True),
            is_required=field.is_required(),
            limits=dict(_limits(field.annotation, field.metadata)),
            choices=tuple(_choices(field.annotation)),
            doc=docs.get(name, ""),
        )
        for name, field in model.model_fields.items()
    )


def type_name(hint: Any) -> str:  # noqa: ANN401
    """Return a type as a reader of a configuration knows it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        return " | ".join(type_name(argument) for argument in arguments)
    if origin is Annotated:
        return type_name(arguments[0])
    if origin is Literal:
        return type_name(type(arguments[0]))
    if origin is not None:
        inner = ("..." if a is Ellipsis else type_name(a) for a in arguments)
        return f"{type_name(origin)}[{', '.join(inner)}]"
    return _plain_name(hint)


def _plain_name(hint: Any) -> str:  # noqa: ANN401
    if hint is NoneType:
        return "None"
    if inspect.isclass(hint) and issubclass(hint, StrEnum):
        return "str"
    return getattr(hint, "__name__", str(hint))


def _choices(hint: Any) -> Iterator[str]:  # noqa: ANN401
    if get_origin(hint) is Literal:
        yield from (repr(value) for value in get_args(hint))
    elif inspect.isclass(hint) and issubclass(hint, Enum):
        yield from (repr(member.value) for member in hint)
    else:
        for argument in get_args(hint):
            if get_origin(hint) in {Union, UnionType, Annotated}:
                yield from _choices(argument)


def _limits(hint: Any, metadata: Any) -> Iterator[tuple[str, float]]:  # noqa: ANN401
    """Yield bounds, also of what may be `None` instead."""
    for item in metadata:
        if isinstance(item, FieldInfo):
            yield from _limits(None, item.metadata)
        for bound in _BOUNDS:
            limit = getattr(item, bound, None)
            if limit is not None:
                yield bound, limit
    if get_origin(hint) in {Union, UnionType}:
        for argument in get_args(hint):
            if get_origin(argument) is Annotated:
                yield from _limits(None, argument.__metadata__)


def _documented(factory: Callable[..., Any]) -> dict[str, str]:
    """Return what the docstring of a factory, or of its base classes, says."""
    classes = inspect.getmro(factory) if inspect.isclass(factory) else (factory,)
    found: dict[str, str] = {}
    for part in reversed(classes):
        if part is not object and (text := inspect.getdoc(part)):
            found.update(_entries(text))
    return found


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and description of the entries of numpydoc sections."""
    lines = text.splitlines()
    for number, line in enumerate(lines[1:], 1):
        if line.startswith("---") and lines[number - 1] in _SECTIONS:
            yield from _section(lines[number + 1 :])


def _section(lines: list[str]) -> Iterator[tuple[str, str]]:
    names: list[str] = []
    words: list[str] = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if following.startswith("---"):
            break
        if line and not line.startswith(" "):
            yield from _entry(names, words)
            head, _, _ = line.partition(" : ")
            names, words = [name.strip() for name in head.split(",")], []
        else:
            words += line.split()
    yield from _entry(names, words)


def _entry(names: list[str], words: list[str]) -> Iterator[tuple[str, str]]:
    return ((name, " ".join(words)) for name in names)
