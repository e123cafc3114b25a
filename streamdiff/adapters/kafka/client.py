"""Opening clients of librdkafka."""

from collections.abc import Callable, Mapping
from typing import Any

import confluent_kafka as ck
import structlog

from streamdiff.errors import ConfigError

log = structlog.get_logger()

Option = str | int | float | bool


class _Log:
    """Takes what librdkafka logs, in the place of a standard logger."""

    def log(self, level: int, message: str, *values: object) -> None:
        log.log(level, "librdkafka_logged", message=message % values)


def open_client(kind: Callable[..., Any], settings: Mapping[str, Option]) -> Any:  # noqa: ANN401 - Consumer or Producer
    """Return a consumer or producer whose log and errors arrive in ours.

    Raises
    ------
    ConfigError
        If librdkafka refuses a setting.
    """
    try:
        return kind({**settings, "error_cb": _log_error}, logger=_Log())
    except (ck.KafkaException, TypeError, ValueError) as err:
        reason = err.args[0].str() if isinstance(err, ck.KafkaException) else err
        raise ConfigError(f"[stream.kafka]: {reason}") from err


def _log_error(error: ck.KafkaError) -> None:
    log.warning("kafka_error", code=error.name(), error=error.str())
