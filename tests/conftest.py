"""Fixtures of all tests."""

import os

# As in workers: what several threads add up in another order differs in last digits.
# Before numpy is imported, or it has no effect.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import shutil
import subprocess
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import hypothesis
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from streamdiff.adapters.kafka import KafkaTransport
from streamdiff.errors import ConfigError
from streamdiff.testing.kafka_broker import KafkaBroker, Listener, fetch_jars
from streamdiff.testing.postgres_server import PostgresServer

CHECKOUT = Path(__file__).parents[1]

# The same examples everywhere, and no limit on the time that they take.
hypothesis.settings.load_profile("ci")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Third-party frames, alerts and messages kept beside the checkout."""
    folder = os.environ.get("STREAMDIFF_TEST_DATA")
    path = Path(folder) if folder else CHECKOUT.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"no third-party data in {path}: set STREAMDIFF_TEST_DATA")
    return path


# The members of test groups notice each other, and that one is gone, within seconds.
QUICK = {
    "session.timeout.ms": 2000,
    "heartbeat.interval.ms": 300,
    "topic.metadata.refresh.interval.ms": 1000,
    "log_level": 2,
}
PASSWORD = "correct horse battery staple"  # noqa: S105 - of the tests' broker


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A real Kafka; ``broker`` is ours, or `None` if it is somebody else's."""

    bootstrap: str
    broker: KafkaBroker | None = None
    authority: Path | None = None

    def transport(self, **options):
        return KafkaTransport(brokers=self.bootstrap, options=QUICK | options)

    def create(self, partitions):
        """Make topics, given as name and number of partitions."""
        topics = [NewTopic(name, n, 1) for name, n in partitions.items()]
        for made in self.admin.create_topics(topics).values():
            made.result()

    def new_name(self):
        """Return a name that no topic or group has."""
        return f"t{uuid.uuid4().hex[:12]}"

    @cached_property
    def admin(self):
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 2})


@pytest.fixture(scope="session")
def kafka_jars():
    """Give the folder with the jars of Kafka, for tests with brokers of their own."""
    try:
        return fetch_jars()
    except ConfigError as err:
        pytest.skip(f"no Kafka: {err}; or set STREAMDIFF_TEST_KAFKA=host:port")


@pytest.fixture(scope="session")
def kafka(request, tmp_path_factory):
    """Give a real Kafka to all tests: one of their own, unless there is another."""
    address = os.environ.get("STREAMDIFF_TEST_KAFKA")
    if address:
        yield Cluster(bootstrap=address)
        return
    request.getfixturevalue("kafka_jars")
    folder = tmp_path_factory.mktemp("kafka")
    secured, authority = secured_listener(folder)
    with KafkaBroker(folder, listeners=(secured,)) as broker:
        yield Cluster(bootstrap=broker.bootstrap, broker=broker, authority=authority)


@pytest.fixture(scope="session")
def own_kafka(kafka):
    """Give a Kafka that tests may stop, or that demands TLS and a password."""
    if kafka.broker is None:
        pytest.skip("STREAMDIFF_TEST_KAFKA is somebody else's")
    return kafka


@pytest.fixture(scope="session")
def postgres():
    """Give a PostgreSQL server to all tests."""
    try:
        server = PostgresServer()
    except ConfigError as err:
        pytest.skip(f"{err}")
    with server:
        yield server


def secured_listener(folder):
    """Return a listener with TLS and SASL, and the certificate to trust."""
    store, certificate = folder / "server.p12", folder / "authority.pem"
    keytool = shutil.which("keytool")
    access = ["-alias", "broker", "-keystore", store, "-storepass", PASSWORD]
    names = ["-dname", "CN=broker", "-ext", "SAN=IP:127.0.0.1", "-ext", "bc:c"]
    for command in (
        ["-genkeypair", *access, "-keyalg", "EC", "-storetype", "PKCS12", *names],
        ["-exportcert", *access, "-rfc", "-file", certificate],
    ):
        subprocess.run([keytool, *command], check=True, capture_output=True)  # noqa: S603
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    settings = {
        "ssl.keystore.location": store,
        "ssl.keystore.password": PASSWORD,
        "sasl.enabled.mechanisms": "PLAIN",
        "plain.sasl.jaas.config": f'{login} user_streamdiff="{PASSWORD}";',
    }
    listener = Listener(name="SECURED", protocol="SASL_SSL", settings=settings)
    return listener, certificate
