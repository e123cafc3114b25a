"""From settings to the plugins that they name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from streamdiff import __version__
from streamdiff.config import Settings
from streamdiff.errors import ConfigError
from streamdiff.model import Provenance
from streamdiff.plugins import Registry
from streamdiff.stages import AlertFormat, Coadder, EventDecoder

NONE = "none"
OPTIONAL_KINDS = frozenset({"register", "score", "associate"})

SINGLE_KINDS = (
    "read",
    "psf",
    "register",
    "warp",
    "subtract",
    "decorrelate",
    "find",
    "score",
    "associate",
    "coadd",
)


def build(settings: Settings, registry: Registry, kind: str, name: str) -> Any:  # noqa: ANN401
    """Return a plugin with the options that the configuration gives it.

    Raises
    ------
    PluginError
        If there is no such plugin.
    ConfigError
        If an option is wrong.
    """
    return registry.get(kind, name).build(settings.options(kind, name))


def build_chosen(settings: Settings, registry: Registry, kind: str) -> Any:  # noqa: ANN401
    """Return the chosen plugin of a kind; `None` for one that is left out.

    Raises
    ------
    PluginError
        If there is no such plugin, and the kind can not be left out.
    ConfigError
        If an option is wrong.
    """
    if _is_left_out(settings, kind):
        return None
    return build(settings, registry, kind, settings.pipeline.name(kind))


def flavours(settings: Settings, registry: Registry) -> dict[str, Coadder]:
    """Return the coadders of the templates that have one of their own, by name.

    Raises
    ------
    PluginError
        If there is no such plugin.
    ConfigError
        If an option is wrong.
    """
    made = {}
    for flavour, name in flavour_plugins(settings).items():
        own = settings.store.flavours[flavour].options
        options = {**settings.options("coadd", name), **own}
        try:
            made[flavour] = registry.get("coadd", name).build(options)
        except ConfigError as err:
            raise ConfigError(f"[store.flavours.{flavour}] {err}") from err
    return made


def flavour_plugins(settings: Settings) -> dict[str, str]:
    """Return the name of the coadder of each template that has one of its own."""
    return {
        flavour: chosen.coadd or settings.pipeline.coadd
        for flavour, chosen in settings.store.flavours.items()
    }


def provenance(settings: Settings, registry: Registry) -> Provenance:
    """Return which plugins and which configuration make the results."""
    chosen = {
        kind: str(registry.get(kind, settings.pipeline.name(kind)))
        for kind in SINGLE_KINDS
        if not _is_left_out(settings, kind)
    }
    chosen["measure"] = ", ".join(
        str(registry.get("measure", name)) for name in settings.pipeline.measure
    )
    return Provenance(
        plugins=chosen,
        config_hash=settings.config_hash,
        software_version=__version__,
    )


def plugin_names(settings: Settings) -> dict[str, str]:
    """Return the name of the plugin of each stage."""
    names = {kind: settings.pipeline.name(kind) for kind in SINGLE_KINDS}
    names |= {f"measure.{name}": name for name in settings.pipeline.measure}
    names |= {f"formats.{name}": name for name in settings.pipeline.formats}
    return names | {f"coadd.{f}": name for f, name in flavour_plugins(settings).items()}


def plugin_labels(settings: Settings, registry: Registry) -> dict[str, str]:
    """Return name, distribution and version of the plugin of each stage."""
    labels = {}
    for stage, name in plugin_names(settings).items():
        plugin = registry.plugins.get((stage.partition(".")[0], name))
        labels[stage] = name if plugin is None else str(plugin)
    return labels


def alert_formats(
    settings: Settings,
    registry: Registry,
    schema_ids: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, AlertFormat]:
    """Return the formats that alerts are published in, by name.

    Parameters
    ----------
    settings : Settings
    registry : Registry
    schema_ids : mapping of str to int
        What a Schema Registry calls the schemas of formats, by the format's name.
    """
    formats = {}
    for name in settings.pipeline.formats:
        built = build(settings, registry, "formats", name)
        given = schema_ids.get(name)
        formats[name] = built if given is None else built.with_schema_id(given)
    return formats


def event_decoders(settings: Settings, registry: Registry) -> tuple[EventDecoder, ...]:
    """Return the decoders of foreign messages."""
    return tuple(
        build(settings, registry, "decode", name)
        for name in settings.stream.event_decoders
    )


def associates(settings: Settings) -> bool:
    """Return whether DiaSources are to join DiaObjects."""
    return not _is_left_out(settings, "associate")


def _is_left_out(settings: Settings, kind: str) -> bool:
    return kind in OPTIONAL_KINDS and settings.pipeline.name(kind) == NONE
