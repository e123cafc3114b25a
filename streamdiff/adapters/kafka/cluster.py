"""What a Kafka cluster can tell before anything is consumed."""

from collections.abc import Iterable

import confluent_kafka as ck

from streamdiff.adapters.kafka.transport import KafkaTransport

_ANSWER_S = 15.0


def cluster_problems(transport: KafkaTransport, topics: Iterable[str]) -> list[str]:
    """Return what is wrong with a cluster and its topics, one line each.

    A cluster that makes topics when they are first asked for makes them now.

    Raises
    ------
    ConfigError
        If librdkafka refuses a setting.
    """
    client = transport.client()
    try:
        client.list_topics(timeout=_ANSWER_S)
    except ck.KafkaException as err:
        return [f"[stream] brokers = {transport.brokers!r}: {_told(err.args[0])}"]
    found = [_topic_problem(client, topic) for topic in topics]
    return [problem for problem in found if problem]


def _topic_problem(client: ck.Producer, topic: str) -> str:
    try:
        known = client.list_topics(topic, timeout=_ANSWER_S).topics[topic]
    except ck.KafkaException as err:
        return f"topic {topic}: {_told(err.args[0])}"
    if known.error is None or known.error.code() in _BEING_MADE:
        return ""
    if known.error.code() == ck.KafkaError.UNKNOWN_TOPIC_OR_PART:
        return f"topic {topic} does not exist: create it with kafka-topics --create"
    return f"topic {topic}: {_told(known.error)}"


def _told(error: ck.KafkaError) -> str:
    if error.code() == ck.KafkaError._TRANSPORT:  # noqa: SLF001 - how it spells it
        return "no broker answers there; see what librdkafka logged before this"
    return str(error.str())


_BEING_MADE = frozenset({ck.KafkaError.LEADER_NOT_AVAILABLE})
