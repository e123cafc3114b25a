"""Everything that is looked at, in its order."""

from collections.abc import Iterator
from pathlib import Path

from streamdiff.app import wiring
from streamdiff.app.doctor import cluster, installation, places
from streamdiff.app.doctor.finding import Finding
from streamdiff.app.environment import read_settings
from streamdiff.app.service import kafka_transport
from streamdiff.config import Settings
from streamdiff.errors import ConfigError, StreamdiffError
from streamdiff.plugins import Registry


def examine(path: Path | None, registry: Registry) -> Iterator[Finding]:
    """Yield what there is to say of an installation.

    Nothing is consumed, and nothing stays written.

    Parameters
    ----------
    path : Path or None
        Configuration; without it only the program itself is looked at.
    registry : Registry
    """
    settings, problem = _settings(path)
    yield from installation.python_version()
    yield from installation.packages(settings)
    yield from installation.plugins(registry)
    yield from installation.message_schemas()
    yield from places.caches()
    if path is None:
        return
    yield from _configuration(path, settings, registry, problem)
    if not problem:
        yield from _surroundings(settings, registry)


def _settings(path: Path | None) -> tuple[Settings, str]:
    """Return the settings, or those by default and why there are no others."""
    if path is None:
        return Settings(), ""
    try:
        settings = read_settings(path)
        settings.require_service()
    except ConfigError as err:
        return Settings(), str(err)
    return settings, ""


def _configuration(
    path: Path, settings: Settings, registry: Registry, problem: str
) -> Iterator[Finding]:
    if not problem:
        try:
            wiring.check(settings, registry)
        except StreamdiffError as err:
            problem = str(err)
    yield Finding(
        check="configuration",
        subject=str(path),
        detail=problem or f"is whole, hash {settings.config_hash}",
        fix="correct it; streamdiff config example explains every key"
        if problem
        else "",
    )


def _surroundings(settings: Settings, registry: Registry) -> Iterator[Finding]:
    yield from places.store(settings)
    yield from places.roots(settings)
    yield from places.output(settings)
    yield from places.catalogue(settings)
    if settings.stream.transport == "kafka":
        try:
            yield from cluster.brokers(settings, kafka_transport(settings))
        except ConfigError as err:
            yield Finding(
                check="brokers",
                subject=settings.stream.brokers,
                detail=str(err),
                fix="correct [stream.kafka]: names and values are librdkafka's",
            )
    yield from cluster.schema_registry(settings, registry)
