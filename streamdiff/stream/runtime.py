"""The runtime: reads events, has them worked on, sends the results, commits.

Three kinds of threads share nothing but messages: the *poll thread* (the one that
calls `Runtime.run`) owns the consumer and all state, the *emitter thread* owns the
producer, and the executor's threads or processes do the work. One event per
partition is in work at a time, so offsets come in order and only from finished
work.

::

    consumer -> lane -> executor -> emitter -> commit
                  ^---- back-off ----|

Exactly once: the records of an event and its offset are sent in one transaction.
What is refused is sent again, byte for byte; a partition that is taken away waits
for its transaction, or gives it up.

At least once: an offset is committed after the records of its event were
acknowledged. Ids are made from the event, so that a repetition can be recognised.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

import structlog

from streamdiff.errors import StreamdiffError, StreamError, UnprocessableError
from streamdiff.metrics import Metrics
from streamdiff.ports import Clock, Consumer, Executor, FailureReporter, Transport
from streamdiff.stream.dispatch import Dispatcher
from streamdiff.stream.emitter import (
    Emitter,
    Outbox,
    PlainOutbox,
    TransactionalOutbox,
    Unit,
)
from streamdiff.stream.health import Health
from streamdiff.stream.mailbox import Mailbox
from streamdiff.stream.offsets import CommitLedger
from streamdiff.stream.session import Session
from streamdiff.stream.settings import RuntimeSettings

log = structlog.get_logger()

_PRODUCER_CLOSE_S = 5.0


class Runtime:
    """A member of the consumer group that processes events until it is stopped.

    Parameters
    ----------
    settings : RuntimeSettings
    transport : Transport
    executor : Executor
        Started and closed by the runtime.
    reporter : FailureReporter
    clock : Clock
    metrics : Metrics
    health : Health or None
    """

    def __init__(
        self,
        settings: RuntimeSettings,
        *,
        transport: Transport,
        executor: Executor,
        reporter: FailureReporter,
        clock: Clock,
        metrics: Metrics,
        health: Health | None = None,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._executor = executor
        self._reporter = reporter
        self._clock = clock
        self._metrics = metrics
        self._health = health or Health(clock)
        self._mailbox = Mailbox()
        self._session: Session | None = None
        self._stopping = False
        self._in_a_hurry = False

    @property
    def is_idle(self) -> bool:
        """Return whether all that could be read is done and committed.

        Of use with a transport that returns at once what there is; Kafka may
        have more on its way.
        """
        return self._session is not None and self._session.is_idle

    def stop(self) -> None:
        """Finish running work, commit and leave; from any thread or a signal."""
        self._stopping = True

    def stop_now(self) -> None:
        """Abandon running work, commit what is done and leave, the same way."""
        self._in_a_hurry = True
        self._stopping = True

    def run(self, *, until: Callable[[], bool] = lambda: False) -> None:
        """Process events until stopped, or until something is true.

        Raises
        ------
        StreamError
            If the stream can not go on. What is sent is committed then; what
            is not will be done again.
        """
        with ExitStack() as stack:
            session = self._open(stack)
            while not (self._stopping or until()):
                session.step()
                self._health.polled()
            self._health.stopping()
            log.info("stopping", at_once=self._in_a_hurry)
            session.drain()

    def run_until_idle(self) -> None:
        """Process all that there is, and leave.

        Raises
        ------
        StreamError
            If the stream can not go on.
        """
        self.run(until=lambda: self.is_idle)

    def _open(self, stack: ExitStack) -> Session:
        stack.callback(self._executor.close)
        self._executor.start()
        self._metrics.workers.set(self._executor.workers)
        consumer = self._transport.consumer(self._settings.group)
        emitter = Emitter(
            partial(self._open_outbox, consumer),
            backoff=self._settings.send_backoff,
            metrics=self._metrics,
        )
        stack.callback(emitter.close, _PRODUCER_CLOSE_S)
        ledger = CommitLedger(consumer, self._clock, self._metrics)
        dispatcher = self._new_dispatcher(emitter, ledger)
        emitter.start(_MailedReplies(self._mailbox, dispatcher))
        self._session = self._new_session(consumer, dispatcher, ledger)
        stack.callback(self._session.leave)
        self._session.join()
        log.info("group_joined", group=self._settings.group)
        return self._session

    def _open_outbox(self, consumer: Consumer) -> Outbox:
        if self._settings.exactly_once:
            return TransactionalOutbox(self._transport.transactions(consumer))
        return PlainOutbox(self._transport.producer())

    def _new_dispatcher(self, emitter: Emitter, ledger: CommitLedger) -> Dispatcher:
        return Dispatcher(
            self._settings,
            executor=self._executor,
            reporter=self._reporter,
            emit=emitter.emit,
            ledger=ledger,
            mailbox=self._mailbox,
            clock=self._clock,
            metrics=self._metrics,
        )

    def _new_session(
        self, consumer: Consumer, dispatcher: Dispatcher, ledger: CommitLedger
    ) -> Session:
        return Session(
            self._settings,
            consumer=consumer,
            dispatcher=dispatcher,
            ledger=ledger,
            mailbox=self._mailbox,
            clock=self._clock,
            metrics=self._metrics,
            in_a_hurry=lambda: self._in_a_hurry,
        )


@dataclass(frozen=True, slots=True)
class _MailedReplies:
    """Brings what the emitter tells to the poll thread."""

    mailbox: Mailbox
    dispatcher: Dispatcher

    def sent(self, unit: Unit) -> None:
        self.mailbox.post(partial(self.dispatcher.sent, unit))

    def refused(self, unit: Unit, error: UnprocessableError) -> None:
        self.mailbox.post(partial(self.dispatcher.refused, unit, error))

    def broken(self, error: Exception) -> None:
        self.mailbox.post(partial(_stop_for, error))


def _stop_for(error: Exception) -> NoReturn:
    if isinstance(error, StreamdiffError):
        raise error
    raise StreamError(
        f"the producer failed: {type(error).__name__}: {error}"
    ) from error
