"""What a Kafka cluster can tell before anything is consumed."""

from collections.abc import Iterable, Sequence

import confluent_kafka as ck

from streamdiff.adapters.kafka.errors import HOPELESS
from streamdiff.adapters.kafka.transport import KafkaTransport

_ANSWER_S = 15.0
# An error may be heard a moment after the answer has failed to come.
_HEARINGS, _HEARING_S = 10, 0.1


def cluster_problems(transport: KafkaTransport, topics: Iterable[str]) -> list[str]:
    """Return what is wrong with a cluster and its topics, one line each.

    A cluster that makes topics when they are first asked for makes them now.

    Raises
    ------
    ConfigError
        If librdkafka refuses a setting.
    """
    client = transport.client()
    if problem := broker_problem(client):
        return [f"[stream] brokers = {transport.brokers!r}: {problem}"]
    found = [topic_problem(client, topic) for topic in topics]
    return [problem for problem in found if problem]


def broker_problem(client: ck.Producer, heard: Sequence[ck.KafkaError] = ()) -> str:
    """Return why brokers do not answer; empty where they do.

    Parameters
    ----------
    client : Producer
    heard : sequence of KafkaError
        Grows by the errors of the client: one that is refused only ever hears that
        nobody answers otherwise.
    """
    try:
        client.list_topics(timeout=_ANSWER_S)
    except ck.KafkaException as err:
        for _ in range(_HEARINGS):
            client.poll(_HEARING_S)  # hands out what was heard meanwhile
            for error in heard:
                if error.code() in HOPELESS:
                    return str(error.str())
        return _told(err.args[0])
    return ""


def topic_problem(client: ck.Producer, topic: str) -> str:
    """Return what is wrong with a topic; empty if nothing.

    A cluster that makes topics when they are first asked for makes it now.
    """
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
