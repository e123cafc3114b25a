"""What the core needs from the world: files, templates, and a stream of records.

Adapters implement these Protocols; nothing below `streamdiff.adapters` knows
Kafka, FITS, a process or a file system.
"""

from streamdiff.ports.catalogue import Catalogue, CatalogueSession, History
from streamdiff.ports.storage import (
    ExposureSpool,
    Files,
    TemplateReader,
    TemplateStore,
)
from streamdiff.ports.stream import (
    AssignedCallback,
    Clock,
    CommitPoint,
    ConsumedRecord,
    Consumer,
    Headers,
    Offsets,
    OutgoingRecord,
    PartitionsCallback,
    Producer,
    TopicPartition,
    Transactions,
    Transport,
)
from streamdiff.ports.work import (
    Executor,
    Failure,
    FailureReporter,
    Finished,
    Handler,
    LogValue,
    Preloader,
    Whereabouts,
    WorkOrder,
    whereabouts,
)

__all__ = [
    "AssignedCallback",
    "Catalogue",
    "CatalogueSession",
    "Clock",
    "CommitPoint",
    "ConsumedRecord",
    "Consumer",
    "Executor",
    "ExposureSpool",
    "Failure",
    "FailureReporter",
    "Files",
    "Finished",
    "Handler",
    "Headers",
    "History",
    "LogValue",
    "Offsets",
    "OutgoingRecord",
    "PartitionsCallback",
    "Preloader",
    "Producer",
    "TemplateReader",
    "TemplateStore",
    "TopicPartition",
    "Transactions",
    "Transport",
    "Whereabouts",
    "WorkOrder",
    "whereabouts",
]
