"""What must be right before the first event is taken."""

from collections.abc import Iterator

from streamdiff.adapters.avro import schemas
from streamdiff.adapters.kafka import KafkaTransport
from streamdiff.adapters.kafka.cluster import cluster_problems
from streamdiff.app import wiring
from streamdiff.app.schema_ids import record_ids, schema_ids
from streamdiff.app.topics import consumed_topics, topics_of
from streamdiff.config import Settings
from streamdiff.errors import ConfigError, StreamdiffError
from streamdiff.model import TemplateId
from streamdiff.plugins import Registry
from streamdiff.ports import Transport


def check_start(settings: Settings, registry: Registry, transport: Transport) -> None:
    """Check brokers, topics, schemas, plugins, the template store and the catalogue.

    Raises
    ------
    ConfigError
        With a line for each thing that is wrong.
    """
    found = [*_plugin_problems(settings, registry), *_schema_problems()]
    if not found:  # the registry is asked for the schemas of formats that can be built
        found += _registry_problems(settings, registry)
    found += _store_problems(settings)
    found += _catalogue_problems(settings)
    if isinstance(transport, KafkaTransport):
        found += cluster_problems(transport, needed_topics(settings))
    if found:
        raise ConfigError("\n".join(found))


def needed_topics(settings: Settings) -> tuple[str, ...]:
    """Return all topics that the service reads and writes."""
    topics = topics_of(settings)
    needed = [*consumed_topics(settings), topics.dead_letter]
    if settings.stream.only != "templates":
        names = settings.pipeline.formats
        alerts = (topics.alerts(rank, name) for rank, name in enumerate(names))
        needed += [topics.visit_processed, *alerts]
    if settings.stream.only != "visits":
        needed.append(topics.template_rebuilt)
    return tuple(needed)


def _plugin_problems(settings: Settings, registry: Registry) -> Iterator[str]:
    try:
        wiring.check(settings, registry)
    except StreamdiffError as err:
        yield str(err)


def _schema_problems() -> Iterator[str]:
    for record in schemas.MESSAGES:
        try:
            schemas.load(record)
        except (LookupError, OSError, ValueError) as err:
            yield f"schema {record}: {err}"


def _registry_problems(settings: Settings, registry: Registry) -> Iterator[str]:
    try:
        schema_ids(settings, registry)
        record_ids(settings)
    except ConfigError as err:
        yield str(err)


def _store_problems(settings: Settings) -> Iterator[str]:
    somewhere = TemplateId(tract=0, patch=0, band="none")
    try:
        wiring.template_store(settings).newest(somewhere)
    except StreamdiffError as err:
        yield f"[store] uri = {settings.store.uri!r}: {err}"


def _catalogue_problems(settings: Settings) -> Iterator[str]:
    """Yield why DiaObjects can not be kept; tables are made where there are none."""
    if settings.stream.only == "templates" or not wiring.associates(settings):
        return
    try:
        catalogue = wiring.catalogue(settings)
    except ConfigError:
        return  # the plugins' check has told of it
    try:
        catalogue.prepare()
    except StreamdiffError as err:
        yield f"[catalogue] url: {err}"
    finally:
        catalogue.close()
