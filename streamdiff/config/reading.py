"""From a file and the environment to settings."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from streamdiff.config.settings import Settings
from streamdiff.errors import ConfigError
from streamdiff.plugins import describe_errors

ENVIRONMENT_PREFIX = "STREAMDIFF__"


SECRET_SUFFIX = "_file"  # noqa: S105 (the end of a key, no secret)


def load(
    path: Path | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """Return the settings of a file, overridden by the environment.

    Parameters
    ----------
    path : Path, optional
        TOML file; without it, all keys have their defaults.
    environment : mapping, optional
        Instead of the process's own; ``STREAMDIFF__STREAM__GROUP`` overrides
        ``[stream] group``.

    Raises
    ------
    ConfigError
        If the file is missing or no TOML, or a key is unknown or out of range.
    """
    tree = {} if path is None else read_tree(path)
    environment = os.environ if environment is None else environment
    for name, value in sorted(environment.items()):
        if name.startswith(ENVIRONMENT_PREFIX):
            _override(tree, name, value)
    return from_tree(tree, source=str(path) if path else "defaults")


def keys_of_variable(name: str) -> tuple[str, ...]:
    """Return the tables and the key that a variable of the environment overrides."""
    return tuple(name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"))


def from_tree(tree: Mapping[str, Any], *, source: str = "settings") -> Settings:
    """Return the settings of a parsed configuration.

    Raises
    ------
    ConfigError
        If a key is unknown or out of range, or a secret can not be read.
    """
    tree = dict(tree)
    stream, catalogue = tree.get("stream"), tree.get("catalogue")
    if isinstance(stream, dict):
        secret = {
            name: _with_secrets(stream[name], f"stream.{name}")
            for name in ("kafka", "registry")
            if isinstance(stream.get(name), dict)
        }
        tree["stream"] = {**stream, **secret}
    if isinstance(catalogue, dict):
        tree["catalogue"] = _with_secrets(catalogue, "catalogue")
    try:
        return Settings.model_validate(tree)
    except ValidationError as err:
        raise ConfigError(f"{source}: {describe_errors('configuration', err)}") from err


def read_tree(path: Path) -> dict[str, Any]:
    """Return what a file says, unchecked.

    Raises
    ------
    ConfigError
        If it is missing or no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"{path}: can not be read: {err}") from err
    except tomllib.TOMLDecodeError as err:
        raise ConfigError(f"{path}: no TOML: {err}") from err


def _override(tree: dict[str, Any], name: str, text: str) -> None:
    *tables, key = keys_of_variable(name)
    for table in tables:
        tree = tree.setdefault(table, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"{name}: {table} is a value, not a table")
    tree[key] = _toml_value(text)


def _toml_value(text: str) -> Any:  # noqa: ANN401
    """Return the value that TOML reads; text that is no TOML value is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _with_secrets(table: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the table with every ``KEY_file`` replaced by KEY and the content."""
    resolved = dict(table)
    for key in [k for k in table if k.endswith(SECRET_SUFFIX)]:
        path = Path(str(resolved.pop(key)))
        try:
            resolved[key.removesuffix(SECRET_SUFFIX)] = path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as err:
            raise ConfigError(f"[{name}] {key}: {path}: {err}") from err
    return resolved
