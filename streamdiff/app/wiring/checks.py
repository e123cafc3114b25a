"""What is wrong with a configuration, found before there is work."""

import structlog

from streamdiff.adapters.avro.alert import unmapped
from streamdiff.app.wiring.pipelines import association, filters, injection
from streamdiff.app.wiring.places import (
    catalogue,
    rooted_files,
    sky_map,
    template_store,
)
from streamdiff.app.wiring.plugins import (
    SINGLE_KINDS,
    associates,
    build,
    build_chosen,
    flavours,
)
from streamdiff.config import Settings
from streamdiff.plugins import Registry

log = structlog.get_logger(__name__)


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
