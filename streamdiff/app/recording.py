"""Recording the topics of a configuration into an archive."""

import os
from collections.abc import Sequence
from pathlib import Path

from streamdiff.adapters.archive.folder import Archive, RollLimits
from streamdiff.adapters.clock import SystemClock
from streamdiff.app.signals import stopped_by_signals
from streamdiff.app.topics import topics_of
from streamdiff.config import Settings
from streamdiff.ports import Transport
from streamdiff.stream.recorder import Recorder

GROUP_SUFFIX = ".archive"


def recorded_topics(settings: Settings, names: Sequence[str] = ()) -> list[str]:
    """Return full names of topics: of those that are named, else of all.

    A name of the contract, such as ``visit-ready``, stands for the topic behind
    the prefix of the configuration, any other one for itself.
    """
    topics = topics_of(settings)
    formats = enumerate(settings.pipeline.formats)
    every = [
        topics.visit_ready,
        topics.template_update,
        topics.visit_processed,
        topics.template_rebuilt,
        topics.dead_letter,
        *(topics.alerts(rank, name) for rank, name in formats),
    ]
    prefixes = topics.prefix, topics.inputs or ""
    known = {
        topic.removeprefix(prefix): topic for topic in every for prefix in prefixes
    }
    return [known.get(name, name) for name in names] or every


def record(
    settings: Settings,
    transport: Transport,
    folder: Path,
    *,
    topics: Sequence[str],
    limits: RollLimits,
    until_idle_s: float,
    accept_gaps: bool = False,
) -> tuple[int, int]:
    """Record until a signal asks to stop, or nothing has come for some time.

    Returns
    -------
    tuple of (int, int)
        Records, and logs that were finished.

    Raises
    ------
    StreamError
        If reading can not go on, or somebody else records into the folder.
    StoreUnavailableError
        If the folder can not be written to.
    """
    clock = SystemClock()
    with Archive(folder, limits=limits, clock=clock) as archive:
        recorder = Recorder(
            transport,
            archive,
            topics=topics,
            group=settings.stream.group + GROUP_SUFFIX,
            clock=clock,
            accept_gaps=accept_gaps,
        )
        # a recorder may end anywhere: the next start repairs
        with stopped_by_signals(recorder.stop, lambda: os._exit(1)):
            recorder.run(until_idle_s=until_idle_s)
    return archive.records, archive.logs
