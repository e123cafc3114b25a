"""From settings and plugins to pipelines: the composition root."""

import json
import time
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import structlog

from streamdiff import __version__
from streamdiff.adapters.avro.alert import unmapped
from streamdiff.adapters.clock import mjd_tai
from streamdiff.adapters.ephemerides import read_ephemerides
from streamdiff.adapters.files import RootedFiles
from streamdiff.adapters.fits.tiles import read_tiles
from streamdiff.adapters.spool import spool
from streamdiff.adapters.template_store import FsspecTemplateStore, Keep
from streamdiff.config import InjectionSettings, Settings
from streamdiff.errors import ConfigError
from streamdiff.imaging.sky_pixels import MAX_RADIUS_ARCSEC
from streamdiff.imaging.skymap import SkyMap, Tessellation
from streamdiff.model import DETECTION_COLUMNS, FluxScale, Provenance
from streamdiff.model.ephemerides import Ephemerides
from streamdiff.pipeline.association import Association
from streamdiff.pipeline.compare import Comparison
from streamdiff.pipeline.cosmic_rays import CosmicRayMasking
from streamdiff.pipeline.cover import TemplateCover
from streamdiff.pipeline.exposures import ExposureSource
from streamdiff.pipeline.filters import Filters
from streamdiff.pipeline.gate import ResidualGate
from streamdiff.pipeline.inject import Injection, Scale
from streamdiff.pipeline.match_stars import StarMatching
from streamdiff.pipeline.rescale import Image, VarianceRescaling
from streamdiff.pipeline.search import Search
from streamdiff.pipeline.sky_sources import SkySources
from streamdiff.pipeline.templates import TemplatePipeline
from streamdiff.pipeline.visit import TemplateSource, VisitPipeline
from streamdiff.plugins import Registry
from streamdiff.ports import Catalogue, Files, TemplateStore
from streamdiff.stages import AlertFormat, Coadder, EventDecoder

if TYPE_CHECKING:
    from streamdiff.adapters.catalogue import SqlCatalogue

log = structlog.get_logger(__name__)

NONE = "none"
_RESCALED: Mapping[str, tuple[Image, ...]] = MappingProxyType(
    {
        "none": (),
        "science": ("science",),
        "template": ("template",),
        "both": ("science", "template"),
    }
)
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


def check(settings: Settings, registry: Registry) -> None:
    """Build everything that the configuration names, and drop it.

    Raises
    ------
    PluginError, ConfigError
        If a plugin is missing or an option wrong, also of plugins that have
        options but are not chosen; or if roots, store or sky map make no sense.
    """
    rooted_files(settings)
    template_store(settings)
    sky_map(settings)
    flavours(settings, registry)
    injection(settings.injection)
    filters(settings, registry)
    for kind in SINGLE_KINDS:
        build_chosen(settings, registry, kind)
    if associates(settings):
        association(settings, registry, catalogue(settings))
    several = {
        "measure": settings.pipeline.measure,
        "formats": settings.pipeline.formats,
        "decode": settings.stream.event_decoders,
    }
    for kind, names in several.items():
        for name in names:
            build(settings, registry, kind, name)
    for kind, tables in settings.plugins.items():
        for name in tables:
            build(settings, registry, kind, name)
    _tell_unmapped(settings, registry)


def _tell_unmapped(settings: Settings, registry: Registry) -> None:
    """Warn of measurements that alerts have no field for."""
    for name in settings.pipeline.measure:
        measurer = build(settings, registry, "measure", name)
        if columns := unmapped(column.name for column in measurer.columns):
            log.warning("columns_not_in_alerts", measurer=name, columns=columns)


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


def exposure_source(
    settings: Settings, registry: Registry, files: Files
) -> ExposureSource:
    """Return what reads exposures and estimates PSFs."""
    return ExposureSource(
        reader=build_chosen(settings, registry, "read"),
        estimator=build_chosen(settings, registry, "psf"),
        files=files,
    )


def comparison(settings: Settings, registry: Registry) -> Comparison:
    """Return the chosen stages from registration to alerts."""
    pipeline = settings.pipeline
    kinds = ("register", "subtract", "decorrelate")
    return Comparison(
        **{kind: build_chosen(settings, registry, kind) for kind in kinds},
        search=search(settings, registry),
        rescale=variance_rescaling(settings),
        cosmic_rays=CosmicRayMasking(enabled=pipeline.mask_cosmic_rays),
        gate=residual_gate(settings),
        min_template_coverage=pipeline.min_template_coverage,
        flux_scale=FluxScale(pipeline.flux_scale),
        provenance=provenance(settings, registry),
    )


def residual_gate(settings: Settings) -> ResidualGate:
    """Return what differences may leave of stars."""
    pipeline = settings.pipeline
    return ResidualGate(
        max_mean=pipeline.max_residual_mean, max_stdev=pipeline.max_residual_stdev
    )


def search(settings: Settings, registry: Registry) -> Search:
    """Return the chosen stages from detection to filters."""
    pipeline = settings.pipeline
    kinds = ("find", "score")
    return Search(
        **{kind: build_chosen(settings, registry, kind) for kind in kinds},
        measure={
            name: build(settings, registry, "measure", name)
            for name in pipeline.measure
        },
        match=StarMatching(
            radius_arcsec=pipeline.match_radius_arcsec,
            own_stars=pipeline.match_own_stars,
        ),
        filters=filters(settings, registry),
        sky_sources=SkySources(n=pipeline.sky_sources),
    )


def variance_rescaling(settings: Settings) -> VarianceRescaling:
    """Return what makes variance planes honest before images are matched."""
    chosen = settings.pipeline.rescale_variance
    return VarianceRescaling(
        images=_RESCALED[chosen], limit=settings.pipeline.max_variance_scale
    )


def filters(settings: Settings, registry: Registry) -> Filters:
    """Return which DiaSources become no alerts.

    Raises
    ------
    ConfigError
        If a flag is a column that nothing measures.
    """
    chosen = settings.filters
    measured = {column.name for column in DETECTION_COLUMNS}
    for name in settings.pipeline.measure:
        measurer = build(settings, registry, "measure", name)
        measured |= {column.name for column in measurer.columns}
    for flag in chosen.bad_flags:
        if flag not in measured:
            near = get_close_matches(flag, measured) or ["its measurer is not chosen"]
            raise ConfigError(
                f"[filters] bad_flags: no column {flag!r} is measured; closest: "
                f"{', '.join(near)}"
            )
    return Filters(
        bad_flags=chosen.bad_flags,
        max_trail_rate=chosen.max_trail_rate_arcsec_s,
        min_science_snr=chosen.min_science_snr,
        min_reliability=chosen.min_reliability,
    )


def rooted_files(settings: Settings) -> RootedFiles:
    """Return access to the files under the configured roots."""
    return RootedFiles(roots=settings.input.roots, max_mib=settings.input.max_image_mib)


def template_store(settings: Settings) -> FsspecTemplateStore:
    """Return the template store."""
    store = settings.store
    return FsspecTemplateStore(
        uri=store.uri,
        cache_mib=store.cache_mib,
        keep=Keep(versions=store.keep_versions, retired=store.keep_retired),
        warps_by=_warp_makers(settings),
    )


def _warp_makers(settings: Settings) -> str:
    """Return what the pixels of a warp depend on, besides its event."""
    kinds = {kind: getattr(settings.pipeline, kind) for kind in ("read", "psf", "warp")}
    options = {kind: settings.options(kind, name) for kind, name in kinds.items()}
    skymap = settings.store.skymap.model_dump()
    return json.dumps([__version__, kinds, options, skymap], sort_keys=True)


def sky_map(settings: Settings) -> Tessellation:
    """Return the division of the sky into patches.

    Raises
    ------
    ConfigError
        If its numbers do not go together, or the user's tiles can not be read.
    """
    chosen = settings.store.skymap
    if chosen.tiles:
        return read_tiles(chosen.tiles)
    try:
        return SkyMap(**chosen.model_dump(exclude={"tiles"}))
    except ValueError as err:
        raise ConfigError(f"[store.skymap] {err}") from err


def template_cover(
    settings: Settings, registry: Registry, store: TemplateStore
) -> TemplateCover:
    """Return what assembles templates from the store."""
    return TemplateCover(
        store=store,
        skymap=sky_map(settings),
        warper=build_chosen(settings, registry, "warp"),
        plugin=plugin_labels(settings, registry)["warp"],
    )


def visit_pipeline(
    settings: Settings, registry: Registry, files: Files, templates: TemplateSource
) -> VisitPipeline:
    """Return the pipeline of visit-ready events."""
    return VisitPipeline(
        exposures=exposure_source(settings, registry, files),
        templates=templates,
        comparison=comparison(settings, registry),
        injection=injection(settings.injection),
        association=association(settings, registry, catalogue(settings))
        if associates(settings)
        else None,
        plugin_names=plugin_names(settings),
        plugin_labels=plugin_labels(settings, registry),
        monotonic=time.monotonic,
        now_mjd_tai=lambda: mjd_tai(time.time()),
    )


def catalogue(settings: Settings) -> "SqlCatalogue":
    """Return the catalogue of DiaObjects; nothing is connected yet.

    Raises
    ------
    ConfigError
        If its URL names no database that can be used.
    """
    # What associates nothing is not to wait for SQLAlchemy.
    from streamdiff.adapters.catalogue import SqlCatalogue  # noqa: PLC0415

    chosen = settings.catalogue
    try:
        return SqlCatalogue(chosen.url, timeout_s=chosen.timeout_s)
    except ConfigError as err:
        raise ConfigError(f"[catalogue] url: {err}") from err


def association(
    settings: Settings, registry: Registry, kept_in: Catalogue
) -> Association:
    """Return what joins DiaSources with DiaObjects.

    Raises
    ------
    PluginError, ConfigError
        If there is no such plugin, or the ephemerides can not be read.
    """
    chosen = settings.catalogue
    try:
        moving = (
            read_ephemerides(Path(chosen.ephemerides))
            if chosen.ephemerides
            else Ephemerides.empty()
        )
    except ConfigError as err:
        raise ConfigError(f"[catalogue] ephemerides: {err}") from err
    associator = build_chosen(settings, registry, "associate")
    if not 0 < associator.radius_arcsec <= MAX_RADIUS_ARCSEC:
        raise ConfigError(
            f"[pipeline] associate: the radius must be in (0, {MAX_RADIUS_ARCSEC:g}] "
            f"arcsec, is {associator.radius_arcsec:g}"
        )
    return Association(
        catalogue=kept_in,
        associator=associator,
        ephemerides=moving,
        forced_photometry=chosen.forced_photometry,
        history_days=chosen.history_days,
    )


def injection(chosen: InjectionSettings) -> Injection | None:
    """Return which sources are injected; `None` for none.

    Raises
    ------
    ConfigError
        If there are no such sources.
    """
    if not chosen.fraction:
        return None
    values = chosen.model_dump() | {"scale": Scale(chosen.scale)}
    try:
        return Injection(**values)
    except ValueError as err:
        raise ConfigError(f"[injection] {err}") from err


def template_pipeline(
    settings: Settings, registry: Registry, files: Files, store: TemplateStore
) -> TemplatePipeline:
    """Return the pipeline of template-update events."""
    return TemplatePipeline(
        exposures=exposure_source(settings, registry, files),
        warper=build_chosen(settings, registry, "warp"),
        coadder=build_chosen(settings, registry, "coadd"),
        flavours=flavours(settings, registry),
        store=store,
        skymap=sky_map(settings),
        spool=spool,
        plugin_names=plugin_names(settings),
        plugin_labels=plugin_labels(settings, registry),
        monotonic=time.monotonic,
    )


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
