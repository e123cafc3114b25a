"""A Kafka broker inside this process, for demonstrations and tests.

It is librdkafka's mock cluster, driven through the C interface of the library that
confluent-kafka brings: so topics get the number of partitions that they need.

Other processes can connect to it as well. It ends with this one, keeps 5 MiB per
partition and then silently drops the oldest, knows no transactions, and every later
rebalance takes the consumers' ``session.timeout.ms`` less 1 s.
"""

import ctypes
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import confluent_kafka

from streamdiff.adapters.kafka import KafkaTransport, Option
from streamdiff.errors import ConfigError

_PRODUCER = 0  # rd_kafka_type_t
_ERROR_SIZE = 512
_DEFAULTS: Mapping[str, Option] = {
    "session.timeout.ms": 6000,
    "heartbeat.interval.ms": 1000,
    "log_level": 2,
}

_SIGNATURES: Mapping[str, tuple[type | None, tuple[type, ...]]] = {
    "rd_kafka_conf_new": (ctypes.c_void_p, ()),
    "rd_kafka_conf_set": (
        ctypes.c_int,
        (
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_char_p,
            ctypes.c_char_p,
            ctypes.c_size_t,
        ),
    ),
    "rd_kafka_new": (
        ctypes.c_void_p,
        (ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t),
    ),
    "rd_kafka_destroy": (None, (ctypes.c_void_p,)),
    "rd_kafka_mock_cluster_new": (ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_int)),
    "rd_kafka_mock_cluster_destroy": (None, (ctypes.c_void_p,)),
    "rd_kafka_mock_cluster_bootstraps": (ctypes.c_char_p, (ctypes.c_void_p,)),
    "rd_kafka_mock_topic_create": (
        ctypes.c_int,
        (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int),
    ),
    "rd_kafka_mock_group_initial_rebalance_delay_ms": (
        None,
        (ctypes.c_void_p, ctypes.c_int32),
    ),
}


class EmbeddedBroker:
    """A broker on a free port of this machine, while in its context.

    Close all clients before it: they would go on looking for it.

    Parameters
    ----------
    partitions : mapping of str to int
        Number of partitions of each topic; other topics get 4 when first used.

    Attributes
    ----------
    bootstrap : str
        ``host:port`` for clients.

    Raises
    ------
    ConfigError
        If the installed confluent-kafka has no mock cluster to offer.
    """

    def __init__(self, partitions: Mapping[str, int]) -> None:
        self._partitions = dict(partitions)
        self._exit = ExitStack()
        self.bootstrap = ""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            library = _library()
            cluster = _new_cluster(library, stack)
            library.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0)
            for topic, number in self._partitions.items():
                _create_topic(library, cluster, topic, number)
            bootstrap: bytes = library.rd_kafka_mock_cluster_bootstraps(cluster)
            self.bootstrap = bootstrap.decode()
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit.close()

    def transport(self, options: Mapping[str, Option] | None = None) -> KafkaTransport:
        """Return a transport to this broker, quick to notice a member that is gone."""
        return KafkaTransport(
            brokers=self.bootstrap, options={**_DEFAULTS, **(options or {})}
        )


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(_library_path()))
    try:
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except AttributeError as err:
        raise ConfigError(
            f"the embedded broker needs a librdkafka with its mock cluster: {err}"
        ) from err
    return library


def _library_path() -> Path:
    """Return the librdkafka that confluent-kafka itself has loaded."""
    package = Path(confluent_kafka.__file__).parent
    found = sorted(package.parent.glob("confluent_kafka.libs/librdkafka*.so*"))
    if not found:
        raise ConfigError(
            "the embedded broker needs the wheel of confluent-kafka for Linux, which "
            f"brings librdkafka; none beside {package}. Use transport = 'memory' or "
            "'kafka'"
        )
    return found[0]


def _new_cluster(library: ctypes.CDLL, stack: ExitStack) -> int:
    error = ctypes.create_string_buffer(_ERROR_SIZE)
    settings = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set(settings, b"log_level", b"2", error, _ERROR_SIZE)
    host = library.rd_kafka_new(_PRODUCER, settings, error, _ERROR_SIZE)
    if not host:
        raise ConfigError(f"the embedded broker can not start: {error.value.decode()}")
    stack.callback(library.rd_kafka_destroy, host)
    cluster: int | None = library.rd_kafka_mock_cluster_new(host, 1)
    if not cluster:
        raise ConfigError("the embedded broker can not start: no port to listen on")
    stack.callback(library.rd_kafka_mock_cluster_destroy, cluster)
    return cluster


def _create_topic(
    library: ctypes.CDLL, cluster: int, topic: str, partitions: int
) -> None:
    # it would take a topic without partitions, too
    if partitions < 1 or library.rd_kafka_mock_topic_create(
        cluster, topic.encode(), partitions, 1
    ):
        raise ConfigError(
            f"the embedded broker refuses topic {topic!r} with {partitions} partitions"
        )
