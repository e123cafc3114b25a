"""One membership of the consumer group: what the poll thread holds and does."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from streamdiff.metrics import Metrics
from streamdiff.ports import Clock, CommitPoint, Consumer, TopicPartition
from streamdiff.stream.dispatch import Dispatcher
from streamdiff.stream.lane import Lane, Phase
from streamdiff.stream.mailbox import Mailbox
from streamdiff.stream.offsets import CommitLedger
from streamdiff.stream.settings import RuntimeSettings

log = structlog.get_logger()


class Session:
    """The lanes of the partitions that this process holds.

    Parameters
    ----------
    settings : RuntimeSettings
    consumer : Consumer
    dispatcher : Dispatcher
    ledger : CommitLedger
    mailbox : Mailbox
    clock : Clock
    metrics : Metrics
    in_a_hurry : callable
        True once nothing is to be waited for any more.
    """

    def __init__(
        self,
        settings: RuntimeSettings,
        *,
        consumer: Consumer,
        dispatcher: Dispatcher,
        ledger: CommitLedger,
        mailbox: Mailbox,
        clock: Clock,
        metrics: Metrics,
        in_a_hurry: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._consumer = consumer
        self._dispatcher = dispatcher
        self._ledger = ledger
        self._mailbox = mailbox
        self._clock = clock
        self._metrics = metrics
        self._in_a_hurry = in_a_hurry
        self._lanes: dict[TopicPartition, Lane] = {}
        self._read_all = False
        self._draining = False

    def join(self) -> None:
        """Join the group."""
        self._consumer.subscribe(
            sorted(self._settings.topics),
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    @property
    def is_idle(self) -> bool:
        """Return whether all that could be read is done and committed."""
        return (
            self._read_all
            and bool(self._lanes)
            and all(lane.is_idle for lane in self._lanes.values())
            and self._ledger.is_empty
        )

    def step(self) -> None:
        """Handle results, start work, commit, read: never longer than one poll.

        Raises
        ------
        StreamError
            If the stream can not go on.
        """
        self._mailbox.deliver()
        self._dispatcher.start_due(self._lanes.values())
        self._resume()
        timeout_s = self._settings.poll_timeout_s
        if self._in_flight(self._lanes.values()):
            self._mailbox.wait(timeout_s)
            timeout_s = 0.0
        self._read(timeout_s)
        self._measure()

    def drain(self) -> None:
        """Take nothing new, and finish what runs within the time for that."""
        self._draining = True
        self._pause(self._lanes.values())
        deadline = self._clock.monotonic() + self._settings.drain_timeout_s
        self._mailbox.deliver()
        while self._in_flight(self._lanes.values()) and not self._is_over(deadline):
            self._mailbox.wait(self._settings.poll_timeout_s)
            self._ledger.flush()
            # keeps the membership; what it returns stays for the next owner
            self._consumer.poll(0)

    def leave(self) -> None:
        """Abandon what still runs, commit what is done and leave the group."""
        try:
            self._close(list(self._lanes))
            self._ledger.flush(at_once=True)
        finally:
            self._consumer.close()
            self._measure()

    def _read(self, timeout_s: float) -> None:
        record = self._consumer.poll(timeout_s)
        self._read_all = record is None
        while record is not None:
            lane = self._lanes.get(record.topic_partition)
            if lane is not None:
                lane.waiting.append(record)
                if lane.is_full:
                    self._pause([lane])
            record = self._consumer.poll(0)

    def _pause(self, lanes: Iterable[Lane]) -> None:
        paused = list(lanes)
        for lane in paused:
            lane.paused = True
        self._consumer.pause([lane.partition for lane in paused])

    def _resume(self) -> None:
        lanes = [x for x in self._lanes.values() if x.paused and not x.is_full]
        for lane in lanes:
            lane.paused = False
        if lanes:
            self._consumer.resume([lane.partition for lane in lanes])

    def _on_assign(self, starts: Mapping[TopicPartition, CommitPoint | None]) -> None:
        self._metrics.rebalances.labels("assigned").inc()
        _log_partitions("partitions_assigned", list(starts))
        self._forget(starts)
        self._lanes.update({p: Lane(p, start) for p, start in starts.items()})
        # A client may keep a pause for when a partition that was lost comes back,
        # and an assignment may make it fetch from all partitions again.
        self._consumer.resume(starts)
        self._pause(x for x in self._lanes.values() if self._draining or x.is_full)

    def _on_revoke(self, partitions: Sequence[TopicPartition]) -> None:
        self._metrics.rebalances.labels("revoked").inc()
        _log_partitions("partitions_revoked", partitions)
        self._wait_for_sending([x for p, x in self._lanes.items() if p in partitions])
        self._close(partitions)
        self._ledger.flush(at_once=True)
        self._forget(partitions)

    def _on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        self._metrics.rebalances.labels("lost").inc()
        _log_partitions("partitions_lost", partitions)
        self._forget(partitions)

    def _wait_for_sending(self, lanes: Sequence[Lane]) -> None:
        deadline = self._clock.monotonic() + self._settings.revoke_timeout_s
        self._mailbox.deliver()
        while any(_phase(x) is Phase.SENDING for x in lanes):
            if self._is_over(deadline):
                return
            self._mailbox.wait(self._settings.poll_timeout_s)

    def _close(self, partitions: Iterable[TopicPartition]) -> None:
        for partition in partitions:
            lane = self._lanes.pop(partition, None)
            if lane is not None:
                self._dispatcher.abandon(lane)

    def _forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Close lanes, and commit nothing for them any more."""
        self._close(partitions)
        for partition in partitions:
            self._ledger.forget(partition)

    def _in_flight(self, lanes: Iterable[Lane]) -> bool:
        return any(_phase(x) in {Phase.RUNNING, Phase.SENDING} for x in lanes)

    def _is_over(self, deadline: float) -> bool:
        return self._in_a_hurry() or self._clock.monotonic() >= deadline

    def _measure(self) -> None:
        lanes = self._lanes.values()
        self._metrics.partitions.set(len(lanes))
        self._metrics.partitions_paused.set(sum(x.paused for x in lanes))
        self._metrics.events_waiting.set(sum(len(x.waiting) for x in lanes))
        self._metrics.events_in_work.set(self._dispatcher.running)


def _phase(lane: Lane) -> Phase | None:
    return lane.work.phase if lane.work else None


def _log_partitions(event: str, partitions: Sequence[TopicPartition]) -> None:
    log.info(event, partitions=[f"{p.topic}[{p.partition}]" for p in partitions])
