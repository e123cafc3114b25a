"""Opening clients of librdkafka."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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


def open_client(
    kind: Callable[..., Any],
    settings: Mapping[str, Option],
    *,
    on_error: Callable[[ck.KafkaError], None] | None = None,
) -> Any:  # noqa: ANN401 - Consumer or Producer
    """Return a consumer or producer whose log and errors arrive in ours.

    Errors go to `on_error` instead where it is given.

    Raises
    ------
    ConfigError
        If librdkafka refuses a setting.
    """
    try:
        return kind({**settings, "error_cb": on_error or _log_error}, logger=_Log())
    except (ck.KafkaException, TypeError, ValueError) as err:
        reason = err.args[0].str() if isinstance(err, ck.KafkaException) else err
        raise ConfigError(f"[stream.kafka]: {reason}") from err


@contextmanager
def untangled() -> Iterator[None]:
    """Raise the error of Kafka that a callback stumbled over.

    confluent-kafka raises a fatal error amid its callbacks. Those that follow are then
    called with an exception set, which Python takes for a bug of theirs.
    """
    try:
        yield
    except SystemError as err:
        if isinstance(err.__cause__, ck.KafkaException):
            raise err.__cause__ from err
        raise


def _log_error(error: ck.KafkaError) -> None:
    log.warning("kafka_error", code=error.name(), error=error.str())
