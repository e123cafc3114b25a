"""The annotated example of a configuration, written from the models themselves."""

import json
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from math import isfinite
from typing import Any

from pydantic import BaseModel

from streamdiff.config import Settings
from streamdiff.options import Option
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
        yield f"{field.alias or name} = {toml_value(value)}{note}"


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
            lines += [_option_line(option) for option in plugin.described_options]
    return lines


def _option_line(option: Option) -> str:
    """Return an option at its default, commented out, with what it may be."""
    unit = f"[{option.unit}]" if option.unit else ""
    facts = ", ".join(filter(None, (option.type_name, option.range, unit)))
    if option.is_required or option.default is None:
        without = "required" if option.is_required else "none by default"
        return f"# {option.name}  # {facts}; {without}"
    return f"# {option.name} = {toml_value(option.default)}  # {facts}"


def toml_value(value: Any) -> str:  # noqa: ANN401
    """Return a value as TOML writes it."""
    if isinstance(value, BaseModel):
        value = value.model_dump(by_alias=True)
    if is_dataclass(value) and not isinstance(value, type):
        # TOML has no null: what is missing is left to its default
        value = {k: v for k, v in asdict(value).items() if v is not None}
    if isinstance(value, dict):
        inner = ", ".join(f"{key} = {toml_value(v)}" for key, v in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(v) for v in value)}]"
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    # JSON writes strings, other numbers and booleans as TOML does
    return json.dumps(value)
