"""The ids of schemas that a Schema Registry has given."""

from streamdiff.adapters.avro.schemas import load
from streamdiff.adapters.schema_registry import registered_id
from streamdiff.app import wiring
from streamdiff.app.topics import topics_of
from streamdiff.config import Settings
from streamdiff.plugins import Registry
from streamdiff.stages import RegisteredFormat


def schema_ids(settings: Settings, registry: Registry) -> dict[str, int]:
    """Return the id of each format's schema on the wire, by the format's name.

    It is looked up once, before workers start: they reach no registry.

    Raises
    ------
    ConfigError
        If the registry can not be reached, or has no such schema.
    PluginError
        If there is no such format.
    """
    options = settings.stream.registry
    if not options:
        return {}
    topics, ids = topics_of(settings), {}
    formats = wiring.alert_formats(settings, registry)
    for rank, (name, alert_format) in enumerate(formats.items()):
        if isinstance(alert_format, RegisteredFormat):
            subject = f"{topics.alerts(rank, name)}-value"
            ids[name] = registered_id(options, subject, alert_format.schema)
    return ids


def record_ids(settings: Settings) -> dict[str, int]:
    """Return the id of each record that is sent beside alerts, by the record's name.

    Raises
    ------
    ConfigError
        If the registry can not be reached, or has no such schema.
    """
    options = settings.stream.registry
    if not options:
        return {}
    topics, sent = topics_of(settings), {}
    if settings.stream.only != "templates":
        sent["visitProcessed"] = topics.visit_processed
    if settings.stream.only != "visits":
        # An update of all patches is sent again for each one.
        sent["templateUpdate"] = topics.template_update
        sent["templateRebuilt"] = topics.template_rebuilt
    return {
        name: registered_id(options, f"{topic}-value", load(name))
        for name, topic in sent.items()
    }
