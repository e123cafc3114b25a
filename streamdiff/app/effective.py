"""The settings that hold, and where each came from."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from streamdiff.config import (
    ENVIRONMENT_PREFIX,
    SECRET_SUFFIX,
    Settings,
    keys_of_variable,
    read_tree,
)

DEFAULT = "default"
_HIDDEN = "(secret)"
_SECRET = re.compile(
    r"password|secret|token|credential|\.key|user\.info|\.pem\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """A key with the value that holds.

    Attributes
    ----------
    key : str
        With the names of its tables, such as ``stream.workers``.
    value : str
        As TOML has it; secrets are not shown.
    origin : str
        ``default``, the file, or the variable of the environment.
    """

    key: str
    value: str
    origin: str

    @property
    def is_default(self) -> bool:
        """Return whether nothing has set it."""
        return self.origin == DEFAULT


def effective(
    settings: Settings, path: Path | None, environment: Mapping[str, str]
) -> list[Effective]:
    """Return all keys of settings that were read from a file and the environment."""
    origins = dict.fromkeys(_keys(read_tree(path)) if path else (), str(path))
    for name in environment:
        if name.startswith(ENVIRONMENT_PREFIX):
            origins[".".join(keys_of_variable(name))] = name
    values = settings.model_dump(by_alias=True, mode="python")
    return [
        Effective(key=key, value=_shown(key, value), origin=_origin(key, origins))
        for key, value in _leaves(values)
    ]


def _origin(key: str, origins: Mapping[str, str]) -> str:
    """Return what set a key, itself or as a part of a table, or as a secret's file."""
    if told := origins.get(key) or origins.get(key + SECRET_SUFFIX):
        return told
    table = next((t for t in origins if key.startswith(f"{t}.")), None)
    return DEFAULT if table is None else origins[table]


def _keys(tree: Mapping[str, Any]) -> Iterator[str]:
    return (key for key, _ in _leaves(tree))


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{key}.")
        else:
            yield key, value


def _shown(key: str, value: Any) -> str:  # noqa: ANN401 (any value of TOML)
    if _SECRET.search(key):
        return _HIDDEN
    if isinstance(value, str) and "://" in value:
        value = _without_password(value)
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return json.dumps(value, default=str)


def _without_password(uri: str) -> str:
    """Return a URI without the password in it."""
    try:
        password = urlsplit(uri).password
    except ValueError:
        return _HIDDEN
    return uri.replace(f":{password}@", ":***@") if password else uri
