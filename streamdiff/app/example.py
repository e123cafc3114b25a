"""The annotated example of a configuration, written from the models themselves."""

import json
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from math import isfinite
from typing import Any

from pydantic import BaseModel

from streamdiff.config import Settings
from streamdiff.plugins import Registry

# Values for the keys without a default.
PLACEHOLDERS = {
    "brokers": "localhost:9092",
    "uri": "file:///var/lib/streamdiff/templates",
    "roots": ["file:///data"],
}


def example(registry: Registry) -> str:
    """Return a configuration with every key at its default, each explained."""
    lines = [
        "# streamdiff: every key with its default; those marked required have none.",
        "# STREAMDIFF__SECTION__KEY in the environment overrides a key.",
    ]
    settings = Settings()
    for name, field in Settings.model_fields.items():
        table = getattr(settings, name)
        if isinstance(table, BaseModel):
            lines += ["", f"[{name}]", *_keys(table)]
        elif field is Settings.model_fields["plugins"]:
            lines += _plugin_tables(registry, settings)
    return "\n".join(lines) + "\n"


def _keys(table: BaseModel) -> Iterator[str]:
    for name, field in type(table).model_fields.items():
        value = getattr(table, name)
        value = value or PLACEHOLDERS.get(name, value)
        note = f"  # {field.description}" if field.description else ""
        yield f"{field.alias or name} = {_toml(value)}{note}"


def _plugin_tables(registry: Registry, settings: Settings) -> list[str]:
    """Return the options of the chosen plugins, as comments that can be enabled."""
    lines: list[str] = []
    chosen = settings.pipeline.model_dump(by_alias=True)
    for kind, names in chosen.items():
        for name in names if isinstance(names, tuple) else (names,):
            plugin = registry.plugins.get((kind, name))
            if plugin is None or not plugin.options.model_fields:
                continue
            lines += ["", f"[{plugin.table}]"]
            for option, field in plugin.options.model_fields.items():
                default = field.get_default(call_default_factory=True)
                value = "" if field.is_required() or default is None else _toml(default)
                lines.append(f"# {option} = {value}".rstrip())
    return lines


def _toml(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, BaseModel):
        value = value.model_dump(by_alias=True)
    if is_dataclass(value) and not isinstance(value, type):
        # TOML has no null: what is missing is left to its default
        value = {k: v for k, v in asdict(value).items() if v is not None}
    if isinstance(value, dict):
        inner = ", ".join(f"{key} = {_toml(v)}" for key, v in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(v) for v in value)}]"
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    # JSON writes strings, other numbers and booleans as TOML does
    return json.dumps(value)
