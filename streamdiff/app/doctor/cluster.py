"""The brokers and their topics, and the Schema Registry."""

from collections.abc import Iterator

from confluent_kafka import KafkaError

from streamdiff.adapters.kafka import KafkaTransport
from streamdiff.adapters.kafka.cluster import broker_problem, topic_problem
from streamdiff.app.doctor.finding import Finding
from streamdiff.app.schema_ids import record_ids, schema_ids
from streamdiff.app.start_checks import needed_topics
from streamdiff.config import Settings
from streamdiff.errors import StreamdiffError
from streamdiff.plugins import Registry


def brokers(settings: Settings, transport: KafkaTransport) -> Iterator[Finding]:
    """Yield whether the brokers answer, and which topics they have."""
    heard: list[KafkaError] = []
    client = transport.client(on_error=heard.append)
    problem = broker_problem(client, heard)
    yield Finding(
        check="brokers",
        subject=transport.brokers,
        detail=problem or "answer",
        fix=_fix_of(problem),
    )
    if problem:
        return
    for topic in needed_topics(settings):
        problem = topic_problem(client, topic)
        create = (
            f"kafka-topics --bootstrap-server {transport.brokers} --create "
            f"--topic {topic} --partitions 8"
        )
        yield Finding(
            check="topic",
            subject=topic,
            detail=problem or "is there",
            fix=create if problem else "",
        )


def schema_registry(settings: Settings, registry: Registry) -> Iterator[Finding]:
    """Yield whether the Schema Registry knows the schemas of what is sent."""
    if not settings.stream.registry:
        return
    url = str(settings.stream.registry.get("url", "[stream.registry] url"))
    try:
        ids = schema_ids(settings, registry) | record_ids(settings)
    except StreamdiffError as err:
        fix = "correct [stream.registry], or register the schemas of this release"
        yield Finding(check="schema registry", subject=url, detail=str(err), fix=fix)
        return
    told = ", ".join(f"{name} is {number}" for name, number in ids.items())
    yield Finding(check="schema registry", subject=url, detail=told or "not needed")


def _fix_of(problem: str) -> str:
    if not problem:
        return ""
    if "uthentication" in problem or "SASL" in problem.upper():
        return (
            "correct sasl.username and sasl.password_file in [stream.kafka], and "
            "whether the brokers want SASL at all"
        )
    return "start the brokers, or correct [stream] brokers and security.protocol"
