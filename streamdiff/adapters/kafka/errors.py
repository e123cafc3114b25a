"""What the errors of Kafka mean to the runtime."""

from collections.abc import Sequence

import confluent_kafka as ck
import structlog

from streamdiff.errors import RetryableError, StreamError, TooLargeError

log = structlog.get_logger()

HOPELESS = frozenset(
    {
        ck.KafkaError._AUTHENTICATION,  # noqa: SLF001 - how it spells local codes
        ck.KafkaError._FATAL,  # noqa: SLF001
        ck.KafkaError.SASL_AUTHENTICATION_FAILED,
        ck.KafkaError.TOPIC_AUTHORIZATION_FAILED,
        ck.KafkaError.GROUP_AUTHORIZATION_FAILED,
        ck.KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        ck.KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        ck.KafkaError.FENCED_INSTANCE_ID,
    }
)
_TOO_LARGE = frozenset(
    {ck.KafkaError.MSG_SIZE_TOO_LARGE, ck.KafkaError.RECORD_LIST_TOO_LARGE}
)


def judge(error: ck.KafkaError, message: ck.Message) -> None:
    """Log an error that passes.

    Raises
    ------
    StreamError
        If it does not.
    """
    place = f"{message.topic()}[{message.partition()}]"
    if error.code() == ck.KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
        raise StreamError(
            f"{place}: the committed offset is no longer in the topic ({error.str()}). "
            "Events were deleted before they were read: decide where to go on, and "
            "set the group's offset there with kafka-consumer-groups --reset-offsets"
        )
    if error.fatal() or error.code() in HOPELESS:
        raise stream_error(error)
    log.warning("poll_failed", code=error.name(), error=error.str(), place=place)


def stream_error(error: ck.KafkaError) -> StreamError:
    """Return an error that stops the process."""
    return StreamError(f"Kafka: {error.name()}: {error.str()}")


def send_error(errors: Sequence[ck.KafkaError]) -> Exception:
    """Return what the failed deliveries of one unit amount to."""
    for error in errors:
        if error.fatal() or error.code() in HOPELESS:
            return stream_error(error)
    for error in errors:
        if error.code() in _TOO_LARGE:
            return TooLargeError(f"a record is larger than Kafka takes: {error.str()}")
    return RetryableError(
        f"{len(errors)} records were not acknowledged: {errors[0].str()}"
    )


def transaction_error(errors: Sequence[ck.KafkaError]) -> Exception:
    """Return what the errors of an aborted transaction amount to.

    A fatal one is not among the hopeless: it is the end of a producer only.
    """
    for error in errors:
        if error.code() in HOPELESS - {ck.KafkaError._FATAL}:  # noqa: SLF001
            return stream_error(error)
    for error in errors:
        if error.code() in _TOO_LARGE:
            return TooLargeError(f"a record is larger than Kafka takes: {error.str()}")
    return RetryableError(f"the transaction was aborted: {errors[0].str()}")
