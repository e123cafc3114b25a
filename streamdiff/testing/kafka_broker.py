"""A real Apache Kafka on this machine, for tests: one node, in KRaft mode.

Its jars come from Maven Central and are kept in a cache of the user's, where
``python -m streamdiff.testing.kafka_broker`` puts them in advance. It needs Java 17
or newer, and Maven the first time.
"""

import base64
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import confluent_kafka
from confluent_kafka.admin import AdminClient

from streamdiff.errors import ConfigError, StreamError

VERSION = "4.1.1"
SCALA = "2.13"
HOST = "127.0.0.1"

_START_S = 60.0
_STOP_S = 30.0
_FETCH_S = 570.0
_TRIES = 3  # to find ports that nobody else takes meanwhile

_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>streamdiff</groupId>
  <artifactId>test-kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_{SCALA}</artifactId>
      <version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka-tools</artifactId>
      <version>{VERSION}</version>
      <exclusions>
        <exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion>
      </exclusions>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""

# Quick to start and small; peak speed is of no use to a broker of tests.
_JVM = (
    "-Xms256m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)

# One node keeps one copy of everything, and notices within a second or two what
# takes a production cluster minutes.
_SETTINGS: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "3000",
    "group.consumer.min.heartbeat.interval.ms": "300",
    "group.consumer.heartbeat.interval.ms": "300",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One more address that the broker takes clients at.

    Attributes
    ----------
    name : str
        In upper case, such as ``SECURED``.
    protocol : str
        ``PLAINTEXT``, ``SSL``, ``SASL_PLAINTEXT`` or ``SASL_SSL``.
    advertised_port : int
        Port that clients are told to use, such as that of a proxy; 0 for its own.
    settings : mapping of str to str
        Settings of this listener, without their prefix.
    """

    name: str
    protocol: str = "PLAINTEXT"
    advertised_port: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)


class KafkaBroker:
    """A broker of its own process, while in its context.

    Parameters
    ----------
    folder : Path
        For its data and its log.
    listeners : sequence of Listener
        Beside a plain one.

    Attributes
    ----------
    ports : mapping of str to int
        Of each listener by its name; that without security is ``PLAINTEXT``.

    Raises
    ------
    ConfigError
        If there is no Java, or no Kafka and no way to get it.
    StreamError
        If it does not start.
    """

    def __init__(self, folder: Path, *, listeners: tuple[Listener, ...] = ()) -> None:
        self._folder = folder
        self._listeners = (Listener(name="PLAINTEXT"), *listeners)
        self._server = kafka_command("kafka.Kafka", str(self._properties))
        self._process: subprocess.Popen[bytes] | None = None
        self.ports: dict[str, int] = {}

    def __enter__(self) -> Self:
        for _ in range(_TRIES):
            self._prepare()
            self.start()
            if self._is_ready():
                return self
            self.kill()
        raise StreamError(f"Kafka does not start:\n{self._log_tail()}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def bootstrap(self) -> str:
        """Return ``host:port`` of the plain listener."""
        return self.address("PLAINTEXT")

    def address(self, listener: str) -> str:
        """Return ``host:port`` of a listener."""
        return f"{HOST}:{self.ports[listener]}"

    def start(self) -> None:
        """Start the process; it may need some seconds to answer."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the broker of the tests
                self._server,
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        """End the process as an operator does, keeping its data."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it and start it again, at the same ports with the same data.

        Raises
        ------
        StreamError
            If it does not come back.
        """
        self.stop()
        self.start()
        if not self._is_ready():
            raise StreamError(f"Kafka does not come back:\n{self._log_tail()}")

    @property
    def _log(self) -> Path:
        return self._folder / "kafka.log"

    @property
    def _properties(self) -> Path:
        return self._folder / "server.properties"

    def _prepare(self) -> None:
        """Write the settings and format an empty folder for the data."""
        data = self._folder / "data"
        shutil.rmtree(data, ignore_errors=True)
        names = ["CONTROLLER", *(listener.name for listener in self._listeners)]
        self.ports = dict(zip(names, _free_ports(len(names)), strict=True))
        lines = [f"{key}={value}" for key, value in self._settings(data).items()]
        self._properties.write_text("\n".join(lines) + "\n", encoding="utf-8")
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().strip("=")
        subprocess.run(  # noqa: S603 - the broker of the tests
            kafka_command(
                "kafka.tools.StorageTool",
                *("format", "--standalone", f"--cluster-id={cluster}"),
                *("-c", str(self._properties)),
            ),
            check=True,
            capture_output=True,
        )

    def _settings(self, data: Path) -> dict[str, str]:
        protocols = {"CONTROLLER": "PLAINTEXT"}
        settings = dict(_SETTINGS)
        for listener in self._listeners:
            protocols[listener.name] = listener.protocol
            prefix = f"listener.name.{listener.name.lower()}."
            settings |= {prefix + k: v for k, v in listener.settings.items()}
        advertised = {x.name: x.advertised_port for x in self._listeners}
        return settings | {
            "log.dirs": str(data),
            "controller.quorum.bootstrap.servers": self.address("CONTROLLER"),
            "listener.security.protocol.map": _pairs(protocols),
            "listeners": _addresses(self.ports),
            "advertised.listeners": _addresses(
                {name: port or self.ports[name] for name, port in advertised.items()}
            ),
        }

    def _is_ready(self) -> bool:
        """Wait until it answers; False if it ends instead, or takes too long."""
        client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                return False
            try:
                client.list_topics(timeout=1)
            except confluent_kafka.KafkaException:
                continue
            return True
        return False

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]


def guarded(command: list[str]) -> list[str]:
    """Return a command whose process ends with the thread that starts it.

    So that it does not outlive a test run that is killed, where ``setpriv`` is known.
    """
    guard = shutil.which("setpriv")
    return [guard, "--pdeathsig", "KILL", *command] if guard else command


def kafka_command(main: str, *arguments: str) -> list[str]:
    """Return the command that runs a program of Kafka, such as ``kafka.Kafka``.

    Raises
    ------
    ConfigError
        If there is no Java, or no Kafka and no way to get it.
    """
    java = _program("java", "Java 17 or newer")
    classes = f"{fetch_jars()}/*"
    return guarded([java, *_JVM, "-cp", classes, main, *arguments])


def fetch_jars() -> Path:
    """Return the folder with Kafka and all that it needs, fetched if need be.

    Raises
    ------
    ConfigError
        If it is not there and can not be fetched.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    jars = Path(cache) / "streamdiff" / f"kafka-{VERSION}-with-tools"
    if jars.is_dir():
        return jars
    maven = _program("mvn", "Maven, to fetch Kafka")
    jars.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=jars.parent) as work:
        Path(work, "pom.xml").write_text(_POM, encoding="utf-8")
        run = subprocess.run(  # noqa: S603 - Maven, with our own arguments
            [maven, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=it"],
            cwd=work,
            check=False,
            capture_output=True,
            text=True,
            timeout=_FETCH_S,
        )
        if run.returncode:
            raise ConfigError(f"Maven can not fetch Kafka {VERSION}: {run.stdout}")
        try:
            Path(work, "it").rename(jars)  # complete or not there at all
        except OSError:
            if not jars.is_dir():  # else another process was first
                raise
    return jars


def _program(name: str, what: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise ConfigError(f"no {name!r} on this machine: install {what}")
    return path


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _addresses(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://{HOST}:{port}" for name, port in ports.items())


def _pairs(names: Mapping[str, str]) -> str:
    return ",".join(f"{key}:{value}" for key, value in names.items())


if __name__ == "__main__":
    print(fetch_jars())  # noqa: T201 - the answer of this command
