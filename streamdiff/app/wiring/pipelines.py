"""From settings and plugins to pipelines."""

import time
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

from streamdiff.adapters.clock import mjd_tai
from streamdiff.adapters.ephemerides import read_ephemerides
from streamdiff.adapters.spool import spool
from streamdiff.app.wiring.places import catalogue, exposure_source, sky_map
from streamdiff.app.wiring.plugins import (
    associates,
    build,
    build_chosen,
    flavours,
    plugin_labels,
    plugin_names,
    provenance,
)
from streamdiff.config import InjectionSettings, Settings
from streamdiff.errors import ConfigError
from streamdiff.imaging.sky_pixels import MAX_RADIUS_ARCSEC
from streamdiff.model import DETECTION_COLUMNS, FluxScale
from streamdiff.model.ephemerides import Ephemerides
from streamdiff.pipeline.association import Association
from streamdiff.pipeline.compare import Comparison
from streamdiff.pipeline.cosmic_rays import CosmicRayMasking
from streamdiff.pipeline.cover import TemplateCover
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

_RESCALED: Mapping[str, tuple[Image, ...]] = MappingProxyType(
    {
        "none": (),
        "science": ("science",),
        "template": ("template",),
        "both": ("science", "template"),
    }
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
