"""The ids of alert schemas that a Schema Registry has given."""

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
