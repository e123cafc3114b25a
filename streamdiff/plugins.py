"""Which plugins there are, and how one is built from its options.

Discovery walks the entry points of the group ``streamdiff`` and loads each for
itself: a package that can not be imported is remembered with its traceback, and
is fatal only to a configuration that names it.
"""

import difflib
import inspect
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import MISSING, dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, get_args, get_type_hints

import pluggy
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from streamdiff import hookspecs
from streamdiff.errors import ConfigError, PluginError
from streamdiff.options import Option, described

GROUP = "streamdiff"

# Kind, as it is called in the configuration -> the hook that offers plugins of it.
KINDS: Mapping[str, str] = MappingProxyType(
    {
        "read": "streamdiff_readers",
        "psf": "streamdiff_psf_estimators",
        "register": "streamdiff_registrars",
        "warp": "streamdiff_warpers",
        "subtract": "streamdiff_subtractors",
        "decorrelate": "streamdiff_decorrelators",
        "find": "streamdiff_source_finders",
        "measure": "streamdiff_measurers",
        "score": "streamdiff_scorers",
        "associate": "streamdiff_associators",
        "coadd": "streamdiff_coadders",
        "formats": "streamdiff_alert_formats",
        "decode": "streamdiff_event_decoders",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The package that a plugin comes from."""

    entry_point: str
    distribution: str
    version: str


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """An algorithm that a configuration can name.

    Attributes
    ----------
    kind, name : str
        Where and how a configuration names it.
    factory : callable
        Its keyword parameters are the options.
    origin : Origin
    """

    kind: str
    name: str
    factory: Callable[..., Any]
    origin: Origin

    def __str__(self) -> str:
        return f"{self.name} {self.origin.distribution} {self.origin.version}"

    @property
    def table(self) -> str:
        """Return the table of the configuration that holds its options."""
        return f"plugins.{self.kind}.{self.name}"

    @cached_property
    def options(self) -> type[BaseModel]:
        """Return a model of the options, made from the factory's signature.

        Raises
        ------
        PluginError
            If the signature has parameters that can not be options.
        """
        hints = get_type_hints(_annotated(self.factory), include_extras=True)
        fields: dict[str, Any] = {}
        for parameter in inspect.signature(self.factory).parameters.values():
            if parameter.kind not in {
                inspect.Parameter.KEYWORD_ONLY,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
            }:
                raise PluginError(
                    f"plugin {self.table} of {self.origin.distribution}: parameter "
                    f"{parameter} can not be an option: make it keyword-only"
                )
            hint = hints.get(parameter.name, Any)
            fields[parameter.name] = (hint, _default(self.factory, parameter))
        model: type[BaseModel] = create_model(
            f"{self.name}_options",
            __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=True),
            **fields,
        )
        return model

    @property
    def described_options(self) -> tuple[Option, ...]:
        """Return the options as the code documents them, in its order."""
        return described(self.factory, self.options)

    def build(self, options: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """Return the algorithm with these options.

        Raises
        ------
        ConfigError
            If an option is unknown or out of range; the message has plugin,
            key, value and what is allowed.
        PluginError
            If it can not be made, or lacks what its kind must have.
        """
        try:
            checked = self.options.model_validate(dict(options))
        except ValidationError as err:
            raise ConfigError(describe_errors(self.table, err)) from err
        given = {name: getattr(checked, name) for name in checked.model_fields_set}
        try:
            built = self.factory(**given)
        except (TypeError, ValueError) as err:
            raise ConfigError(f"[{self.table}] {err}") from err
        except Exception as err:
            raise PluginError(
                f"[{self.table}] can not be made: {type(err).__name__}: {err}"
            ) from err
        self._require_members(built)
        return built

    def _require_members(self, built: object) -> None:
        protocol = protocol_of(self.kind)
        names = [name for name in vars(protocol) if not name.startswith("_")]
        if missing := [name for name in names if not hasattr(built, name)]:
            raise PluginError(
                f"[{self.table}] of {self.origin.distribution} has no "
                f"{', '.join(missing)}: see streamdiff.stages.{protocol.__name__}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenPlugin:
    """A package that offers plugins but can not be loaded."""

    origin: Origin
    error: str
    traceback: str

    def __str__(self) -> str:
        origin = self.origin
        return (
            f"{origin.entry_point!r} of {origin.distribution} {origin.version}: "
            f"{self.error}"
        )


@dataclass(frozen=True, kw_only=True)
class Registry:
    """All plugins that were found.

    Attributes
    ----------
    plugins : mapping of (kind, name) to Plugin
    broken : tuple of BrokenPlugin
    manager : pluggy.PluginManager
        Calls the observers.
    """

    plugins: Mapping[tuple[str, str], Plugin]
    broken: tuple[BrokenPlugin, ...]
    manager: pluggy.PluginManager

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the names of one kind, in alphabetical order."""
        return tuple(sorted(name for k, name in self.plugins if k == kind))

    def get(self, kind: str, name: str) -> Plugin:
        """Return a plugin.

        Raises
        ------
        PluginError
            If there is none of that name; the message has the closest names,
            and the broken packages that might have offered it.
        """
        plugin = self.plugins.get((kind, name))
        if plugin is not None:
            return plugin
        known = self.names(kind)
        close = difflib.get_close_matches(name, known, n=3) or known
        message = f"there is no plugin {name!r} of kind {kind!r}" + (
            f"; did you mean {' or '.join(map(repr, close))}?"
            if close
            else ", nor any other."
        )
        for broken in self.broken:
            message += f" A plugin package failed to load: {broken}."
        raise PluginError(message)


def discover(
    *, disabled: Collection[str] = (), found: Iterable[EntryPoint] | None = None
) -> Registry:
    """Return every plugin that the installed packages offer.

    Parameters
    ----------
    disabled : collection of str
        Distributions to leave out.
    found : iterable of EntryPoint, optional
        Entry points to load instead of those of the environment.

    Raises
    ------
    PluginError
        If two plugins of one kind have the same name.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    plugins: dict[tuple[str, str], Plugin] = {}
    broken: list[BrokenPlugin] = []
    points = entry_points(group=GROUP) if found is None else found
    for point in sorted(points, key=lambda p: (p.name, p.value)):
        origin = _origin(point)
        if origin.distribution in disabled:
            continue
        try:
            offered = _load(manager, point, origin)
        except Exception as err:  # noqa: BLE001 (any error of a third party)
            broken.append(
                BrokenPlugin(
                    origin=origin,
                    error=f"{type(err).__name__}: {err}",
                    traceback=traceback.format_exc(),
                )
            )
            continue
        for plugin in offered:
            _add(plugins, plugin)
    return Registry(
        plugins=MappingProxyType(plugins), broken=tuple(broken), manager=manager
    )


def describe_errors(table: str, error: ValidationError) -> str:
    """Return one sentence for all errors of a table of the configuration."""
    sentences = []
    for e in error.errors():
        key = ".".join(str(part) for part in e["loc"])
        if e["type"] == "extra_forbidden":
            sentences.append(f"{key}: there is no such key (value {e['input']!r})")
        elif e["type"] == "missing":
            sentences.append(f"{key}: a value is required")
        else:
            sentences.append(f"{key}: {e['msg'].lower()}, got {e['input']!r}")
    return f"[{table}] " + "; ".join(sentences)


def protocol_of(kind: str) -> type:
    """Return the Protocol that plugins of a kind follow, as their hook says."""
    offered = get_type_hints(getattr(hookspecs, KINDS[kind]))["return"]
    _, factory = get_args(offered)
    protocol: type = get_args(factory)[-1]
    return protocol


def _default(factory: Callable[..., Any], parameter: inspect.Parameter) -> Any:  # noqa: ANN401
    """Return the default of an option as pydantic wants it."""
    fields = getattr(factory, "__dataclass_fields__", {})
    maker = getattr(fields.get(parameter.name), "default_factory", MISSING)
    if maker is not MISSING:
        return Field(default_factory=maker)
    return ... if parameter.default is inspect.Parameter.empty else parameter.default


def _annotated(factory: Callable[..., Any]) -> Callable[..., Any]:
    """Return what carries the annotations: a function, or a plain constructor."""
    if inspect.isclass(factory) and not hasattr(factory, "__dataclass_fields__"):
        constructor: Callable[..., Any] = factory.__init__
        return constructor
    return factory


def _origin(point: EntryPoint) -> Origin:
    return Origin(
        entry_point=f"{point.name} = {point.value}",
        distribution=point.dist.name if point.dist else "unknown",
        version=point.dist.version if point.dist else "unknown",
    )


def _load(
    manager: pluggy.PluginManager, point: EntryPoint, origin: Origin
) -> tuple[Plugin, ...]:
    module = point.load()
    version = getattr(module, "STREAMDIFF_API_VERSION", hookspecs.API_VERSION)
    if version != hookspecs.API_VERSION:
        raise PluginError(
            f"it is written for version {version} of the plugin interface, "
            f"this is version {hookspecs.API_VERSION}: install a release that fits"
        )
    _require_known_hooks(manager, module)
    manager.register(module, name=origin.entry_point)
    try:
        return tuple(_offered(module, origin))
    except BaseException:
        manager.unregister(module)
        raise


def _require_known_hooks(manager: pluggy.PluginManager, module: object) -> None:
    known = {name for name in dir(hookspecs) if name.startswith("streamdiff_")}
    for name in dir(module):
        if manager.parse_hookimpl_opts(module, name) is not None and name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise PluginError(f"{name} is no hook of streamdiff{hint}")


def _offered(module: object, origin: Origin) -> Iterable[Plugin]:
    for kind, hook in KINDS.items():
        offer = getattr(module, hook, None)
        if offer is None:
            continue
        for name, factory in offer().items():
            plugin = Plugin(kind=kind, name=name, factory=factory, origin=origin)
            _ = plugin.options  # a signature that can not be options is an error now
            yield plugin


def _add(plugins: dict[tuple[str, str], Plugin], plugin: Plugin) -> None:
    key = (plugin.kind, plugin.name)
    if key in plugins:
        raise PluginError(
            f"two packages offer {plugin.table}: {plugins[key].origin.distribution} "
            f"and {plugin.origin.distribution}; uninstall one, or name it in "
            "STREAMDIFF_DISABLE_PLUGINS"
        )
    plugins[key] = plugin
