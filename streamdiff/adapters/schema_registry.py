"""A Schema Registry: the ids that schemas have for the readers of a cluster.

It is that of Confluent, or any other with the same interface. Its client needs
``pip install 'streamdiff[registry]'``.
"""

import json
from collections.abc import Mapping
from typing import Any

from streamdiff.errors import ConfigError

# Confluent's name for it; here it is off unless asked for, so that no typo of a
# prefix leaves subjects behind.
REGISTER = "auto.register.schemas"
# The client itself would wait for ever.
TIMEOUT_S = 10


def registered_id(
    options: Mapping[str, Any], subject: str, schema: Mapping[str, Any]
) -> int:
    """Return the id of a schema under a subject.

    Parameters
    ----------
    options : mapping of str to value
        ``url`` and other settings of confluent-kafka's client; with
        ``auto.register.schemas`` a schema that is not there is registered.
    subject : str
        ``<topic>-value``, for the values of a topic.
    schema : dict
        Parsed.

    Raises
    ------
    ConfigError
        If the registry can not be reached or refuses the schema, if the schema is
        not there, or if the client is not installed.
    """
    try:
        from confluent_kafka.schema_registry import (  # noqa: PLC0415 (an extra)
            Schema as RegistrySchema,
        )
        from confluent_kafka.schema_registry import (  # noqa: PLC0415
            SchemaRegistryClient,
        )
    except ImportError as err:
        raise ConfigError(
            f"[stream.registry] needs pip install 'streamdiff[registry]': {err}"
        ) from err
    conf = {"timeout": TIMEOUT_S, **options}
    register = conf.pop(REGISTER, False)
    written = RegistrySchema(_text(schema), "AVRO")
    try:
        with SchemaRegistryClient(conf) as client:
            if register:
                return int(client.register_schema(subject, written))
            found = client.lookup_schema(subject, written)
    except Exception as err:  # an error of HTTP, of the registry, of the options
        raise ConfigError(
            f"[stream.registry] {conf.get('url')}: subject {subject}: {err!s:.200}; "
            f'"{REGISTER}" = true registers what is not there'
        ) from err
    return int(found.schema_id)


def _text(schema: Mapping[str, Any]) -> str:
    """Return a schema as JSON, without what fastavro has noted in it."""
    return json.dumps(_without_notes(dict(schema)))


def _without_notes(part: Any) -> Any:  # noqa: ANN401 (a part of a schema)
    match part:
        case dict():
            kept = {k: v for k, v in part.items() if not k.startswith("__")}
            return {key: _without_notes(value) for key, value in kept.items()}
        case list():
            return [_without_notes(item) for item in part]
    return part
