"""What a worker process builds once, and then uses for every record."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from streamdiff import log
from streamdiff.adapters.clock import SystemClock
from streamdiff.app import wiring
from streamdiff.app.decoding import Decoding
from streamdiff.app.environment import find_plugins
from streamdiff.app.handler import EventHandler
from streamdiff.app.observers import Observers
from streamdiff.app.output import ResultFiles
from streamdiff.app.reports import Reporter
from streamdiff.app.topics import topics_of
from streamdiff.app.warm_up import warm_up
from streamdiff.config import Settings
from streamdiff.pipeline.preload import preload
from streamdiff.plugins import Registry


def start_worker(
    settings: Settings,
    *,
    log_level: str,
    schema_ids: Mapping[str, int] = MappingProxyType({}),
    record_ids: Mapping[str, int] = MappingProxyType({}),
) -> EventHandler:
    """Return the handler of a process of its own, with nothing left to be slow at.

    Parameters
    ----------
    settings : Settings
    log_level : str
        One of `streamdiff.log.LEVELS`.
    schema_ids, record_ids : mapping of str to int
        See `streamdiff.app.schema_ids`.
    """
    log.configure(level=log_level)
    handler = make_handler(settings, schema_ids, record_ids)
    warm_up(handler.visits, handler.templates.warper)
    return handler


def make_handler(
    settings: Settings,
    schema_ids: Mapping[str, int] = MappingProxyType({}),
    record_ids: Mapping[str, int] = MappingProxyType({}),
) -> EventHandler:
    """Return the handler of events."""
    registry = find_plugins()
    files = wiring.rooted_files(settings)
    store = wiring.template_store(settings)
    cover = wiring.template_cover(settings, registry, store)
    reporter = make_reporter(settings, registry, record_ids)
    return EventHandler(
        visits=wiring.visit_pipeline(settings, registry, files, cover),
        templates=wiring.template_pipeline(settings, registry, files, store),
        formats=wiring.alert_formats(settings, registry, schema_ids),
        reporter=reporter,
        results=_result_files(settings),
        stale_after_s=settings.stream.stale_after_s,
        plugin_labels=wiring.plugin_labels(settings, registry),
        load_templates=partial(preload, store=store, skymap=wiring.sky_map(settings)),
    )


def make_reporter(
    settings: Settings,
    registry: Registry,
    record_ids: Mapping[str, int] = MappingProxyType({}),
) -> Reporter:
    """Return what tells how events ended."""
    return Reporter(
        topics=topics_of(settings),
        decoding=Decoding(decoders=wiring.event_decoders(settings, registry)),
        provenance=wiring.provenance(settings, registry),
        observers=Observers(registry.manager),
        clock=SystemClock(),
        schema_ids=record_ids,
    )


def _result_files(settings: Settings) -> ResultFiles:
    output = settings.output
    return ResultFiles(
        directory=Path(output.directory) if output.directory else None,
        alerts=output.alerts,
        differences=output.differences,
        qa=output.qa,
        filtered=output.filtered,
    )
