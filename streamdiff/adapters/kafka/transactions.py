"""Transactions of a Kafka cluster: records and commit points, all or nothing.

What ends how is taken from the errors of librdkafka: *retriable* ones are tried
again inside of the transaction, others abort it, *fatal* ones end the producer. The
answer to a commit can be lost on its way. So whatever goes wrong after a commit has
been asked for, the group is asked where it stands before anything is sent again.
"""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import confluent_kafka as ck
import structlog

from streamdiff.adapters.kafka.client import Option, open_client, untangled
from streamdiff.adapters.kafka.consumer import KafkaConsumer
from streamdiff.adapters.kafka.errors import stream_error, transaction_error
from streamdiff.adapters.kafka.producer import produce
from streamdiff.errors import RetryableError, StreamdiffError, StreamError
from streamdiff.ports import Offsets, OutgoingRecord

log = structlog.get_logger()

_ANSWER_S = 10.0  # then it is logged that nothing came, and asked again
_GRACE_S = 10.0
_FLUSH_S = 0.5
_OUSTED = frozenset(
    {
        ck.KafkaError._FENCED,  # noqa: SLF001 - how it spells local codes
        ck.KafkaError.PRODUCER_FENCED,
        ck.KafkaError.INVALID_PRODUCER_EPOCH,
    }
)


class _StuckError(RetryableError):
    """A call does not come back: its producer is of no more use."""


class KafkaTransactions:
    """A `streamdiff.ports.Transactions` of a Kafka cluster.

    Parameters
    ----------
    settings : mapping of str to Option
        All settings of librdkafka, with ``transactional.id``.
    consumer : KafkaConsumer
        The member of the group that transactions commit for.
    is_shared : bool
        Whether another process may come with the same transactional id, to take
        the place of this one. If not, only a transaction that took too long can
        end this producer, and a new one goes on.

    Raises
    ------
    StreamError
        If the cluster refuses transactions.
    """

    def __init__(
        self,
        settings: Mapping[str, Option],
        consumer: KafkaConsumer,
        *,
        is_shared: bool,
    ) -> None:
        self._settings = settings
        self._consumer = consumer
        self._is_shared = is_shared
        self._producer = self._new_producer()
        self._unsure: Offsets | None = None

    def send(
        self,
        records: Sequence[OutgoingRecord],
        offsets: Offsets,
        *,
        is_ours: Callable[[], bool],
    ) -> None:
        """Make records and commit points count together, or neither.

        Raises
        ------
        RetryableError
            If neither counts, or that is not known: send the same again.
        TooLargeError
            If a record is larger than the broker takes.
        StreamError
            If another process has taken the place of this one, or the cluster
            refuses it.
        """
        if self._unsure == offsets and self._consumer.has_committed(offsets):
            log.info("transaction_had_been_committed")
            self._unsure = None
            return
        self._unsure = None
        try:
            self._producer.begin_transaction()
            self._fill(records, offsets, is_ours)
        except ck.KafkaException as err:
            self._abort(err.args[0])
            raise transaction_error([err.args[0]]) from err
        except _StuckError:
            self._replace_producer(None)
            raise
        except StreamdiffError:
            self._abort(None)
            raise
        self._unsure = offsets
        self._commit()
        self._unsure = None

    def close(self) -> None:
        """Release the connection; an open transaction is left to time out."""
        self._producer.flush(_FLUSH_S)

    def _fill(
        self,
        records: Sequence[OutgoingRecord],
        offsets: Offsets,
        is_ours: Callable[[], bool],
    ) -> None:
        """Send all of one transaction but its end."""
        errors: list[ck.KafkaError] = []

        def delivered(error: ck.KafkaError | None, _: ck.Message) -> None:
            if error is not None:
                errors.append(error)

        with untangled():
            for record in records:
                produce(self._producer, record, delivered)
            while self._producer.flush(_FLUSH_S):
                pass
        if errors:
            raise transaction_error(errors)
        membership = self._consumer.membership()
        positions = [
            ck.TopicPartition(p.topic, p.partition, point.offset, point.metadata)
            for p, point in offsets.items()
        ]
        # Asked after the membership was taken: if a partition has been lost since,
        # the group knows that this membership is an old one.
        if membership is None or not is_ours():
            raise RetryableError("the partition is not ours now")
        _insist(
            "offsets",
            lambda: self._producer.send_offsets_to_transaction(
                positions, membership, _ANSWER_S
            ),
            while_true=is_ours,
        )

    def _commit(self) -> None:
        try:
            _insist("commit", lambda: self._producer.commit_transaction(_ANSWER_S))
        except ck.KafkaException as err:
            self._abort(err.args[0])
            raise RetryableError(f"not known to be committed: {err.args[0]}") from err
        except _StuckError:
            self._replace_producer(None)
            raise

    def _abort(self, cause: ck.KafkaError | None) -> None:
        """Undo the transaction, with a new producer if this one is at its end."""
        log.warning("transaction_aborted", cause=cause and cause.str())
        error = cause
        if cause is None or not cause.fatal():
            try:
                _insist("abort", lambda: self._producer.abort_transaction(_ANSWER_S))
            except ck.KafkaException as err:
                error = err.args[0]
            except _StuckError:
                pass
            else:
                return
        self._replace_producer(error)

    def _replace_producer(self, error: ck.KafkaError | None) -> None:
        if error is not None and error.code() in _OUSTED and self._is_shared:
            raise StreamError(
                "another process has taken over the transactional id "
                f"{self._settings['transactional.id']!r}: {error.str()}"
            )
        log.warning("producer_replaced", cause=error and error.str())
        self._producer = self._new_producer()

    def _new_producer(self) -> Any:  # noqa: ANN401 - the client of librdkafka
        """Return a producer; what an earlier one of its id left open is ended."""
        producer = open_client(ck.Producer, self._settings)
        try:
            _insist("start", lambda: producer.init_transactions(_ANSWER_S))
        except ck.KafkaException as err:
            raise stream_error(err.args[0]) from err
        return producer


def _insist(
    step: str,
    call: Callable[[], object],
    *,
    while_true: Callable[[], bool] = lambda: True,
) -> None:
    """Call until the cluster has answered.

    Raises
    ------
    KafkaException
        If the answer is no.
    RetryableError
        If the answer is not wanted any more, or the call does not come back.
    """
    while while_true():
        try:
            _in_time(step, call)
        except ck.KafkaException as err:
            error = err.args[0]
            if error.fatal() or error.txn_requires_abort() or not error.retriable():
                raise
            log.warning("transaction_waits", step=step, error=error.str())
        else:
            return
    raise RetryableError("the partition is not ours any more")


def _in_time(step: str, call: Callable[[], object]) -> None:
    """Call in a thread of its own, which is left behind if it does not come back.

    librdkafka does not look at the time limit of a call while the coordinator of the
    group is away, and may not notice that it is there again (its issues 5456, 5511;
    seen with 2.16 when connections were refused for 20 s).
    """
    answers: queue.Queue[BaseException | None] = queue.Queue()

    def run() -> None:
        try:
            with untangled():
                call()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            answers.put(error)
        else:
            answers.put(None)

    threading.Thread(target=run, name=f"transaction-{step}", daemon=True).start()
    try:
        error = answers.get(timeout=_ANSWER_S + _GRACE_S)
    except queue.Empty:
        raise _StuckError(f"{step}: librdkafka does not come back") from None
    if error is not None:
        raise error
