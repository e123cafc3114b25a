"""The services of the compose file, as processes of this machine.

What the network and the mounts of containers would do is done by replacing names, by
the one table `Stack.places`, in all that the compose file, the image and the
configurations say. Nothing else of them is changed, but for what is `SMALLER`.
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import yaml

from streamdiff.testing.kafka_broker import kafka_command

SANDBOX = Path(__file__).with_name("read_only.sh")
HOST = "127.0.0.1"
OURS, KAFKA, PROMETHEUS = "streamdiff", "apache/kafka", "prom/prometheus"
# What these images run unless they are told otherwise.
PROMETHEUS_COMMAND = [
    "prometheus",
    "--config.file=/etc/prometheus/prometheus.yml",
    "--storage.tsdb.path=/prometheus",
]
# The pictures of tests are small, and so may be the machine: a patch of 4096 px takes
# half a minute, and as long each worker that compiles the code at once with another.
SMALLER = {
    "STREAMDIFF__STORE__SKYMAP": "{ patch_pixels = 600 }",
    "STREAMDIFF__STREAM__WORKERS": "1",
}
KAFKA_CLUSTER_ID = "5L6g3nShT-eMCtK--X86sw"


@dataclass(frozen=True, kw_only=True)
class Image:
    """What a Dockerfile says of the processes of its image."""

    environment: dict[str, str]
    command: list[str]
    user: str
    healthcheck: list[str]

    @classmethod
    def read(cls, dockerfile):
        lines = dockerfile.read_text().replace("\\\n", " ").splitlines()
        told = dict(line.split(" ", 1) for line in lines if " " in line)
        variables = (pair.split("=", 1) for pair in shlex.split(told["ENV"]))
        return cls(
            environment=dict(variables),
            command=json.loads(told["ENTRYPOINT"]) + json.loads(told["CMD"]),
            user=told["USER"].split(":")[0],
            healthcheck=json.loads(told["HEALTHCHECK"].partition("CMD ")[2]),
        )


@dataclass(kw_only=True)
class Stack:
    """Starts the services, one after the other, and ends them.

    Attributes
    ----------
    folder : Path
        Other users can reach it.
    deploy : Path
    sandboxed : bool
        Take the rights of the services away, as the compose file wants it: root can.
    """

    folder: Path
    deploy: Path
    sandboxed: bool
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)

    def __post_init__(self):
        self.image = Image.read(self.deploy / "Dockerfile")
        text = (self.deploy / "compose.yaml").read_text().replace("$$", "$")
        self.services = yaml.safe_load(text)["services"]
        names = ("kafka", "controller", "prometheus", *self.named(OURS))
        self.ports = dict(zip(names, _free_ports(len(names)), strict=True))
        for path in self.mounts.values():
            path.mkdir(parents=True, exist_ok=True)
        if self.sandboxed:
            for path in self.writable:
                shutil.chown(path, int(self.image.user))
        self._write_programs()
        self._write_configurations()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            process.kill()
            process.wait()

    @property
    def mounts(self):
        """Return where each path that a container has lies on this machine."""
        return {
            "/data": self.folder / "data",
            "/var/lib/streamdiff": self.folder / "templates",
            "/var/lib/kafka/data": self.folder / "kafka",
            "/prometheus": self.folder / "prometheus",
            "/etc/streamdiff": self.folder / "etc" / "streamdiff",
            "/etc/prometheus": self.folder / "etc" / "prometheus",
            # One for both services: what one has compiled the other finds.
            "/var/cache/streamdiff": self.folder / "cache",
            "/tmp": self.folder / "tmp",  # noqa: S108 - of a container
        }

    def places(self, service=""):
        """Return what each name of the containers' world is on this machine."""
        hosts = {
            "kafka:9092": "kafka",
            "localhost:9092": "kafka",
            "localhost:9093": "controller",
            **{f"{name}:8080": name for name in self.named(OURS)},
        }
        # Names that mean another place in each container.
        within = {
            "kafka": {"//:9092": "kafka", "//:9093": "controller"},
            **{
                name: {"0.0.0.0:8080": name, f"{HOST}:8080": name}
                for name in self.named(OURS)
            },
        }
        addresses = {
            name: ("//" if name.startswith("//") else "") + self.address(where)
            for name, where in (hosts | within.get(service, {})).items()
        }
        programs = {
            "/opt/kafka/bin": str(self.folder / "bin"),
            "/opt/streamdiff/bin": f"{sys.prefix}/bin",
            "$PATH": os.environ["PATH"],
        }
        mounts = {name: str(path) for name, path in self.mounts.items()}
        return mounts | addresses | programs

    def here(self, text, service=""):
        """Return a text of a container with the names of this machine."""
        places = self.places(service)
        names = "|".join(map(re.escape, sorted(places, key=len, reverse=True)))
        whole = rf"(?:{names})(?![\w.-])"
        return re.sub(whole, lambda found: places[found[0]], text)

    def named(self, image):
        """Return the names of the services that run an image."""
        return [
            name
            for name, service in self.services.items()
            if service["image"].partition(":")[0] == image
        ]

    def address(self, name):
        return f"{HOST}:{self.ports[name]}"

    @property
    def writable(self):
        """Return what a service of ours may write to."""
        service = self.services[self.named(OURS)[0]]
        volumes = [v.split(":") for v in service["volumes"]]
        mounted = [v[-1] for v in volumes if v[-1] != "ro"]
        temporary = [t.partition(":")[0] for t in service["tmpfs"]]
        return [self.mounts[path] for path in (*mounted, *temporary)]

    def order(self):
        """Return the names of the services, each behind what it depends on."""
        graph = {n: s.get("depends_on", ()) for n, s in self.services.items()}
        return list(TopologicalSorter(graph).static_order())

    def environment(self, name):
        """Return the variables of a service: those of its image, and its own."""
        service = self.services[name]
        own = {k: str(v) for k, v in service.get("environment", {}).items()}
        if name in self.named(OURS):
            own = self.image.environment | own | SMALLER
        return {k: self.here(v, name) for k, v in own.items()}

    def start(self, name):
        """Start a service; what it depends on must be as it wants it."""
        self.processes[name] = self._popen(name, self._command(name))

    def run(self, name, *command):
        """Run a command as ``docker compose exec`` does; return its exit code."""
        return self._popen(name, [self.here(word, name) for word in command]).wait()

    def is_healthy(self, name):
        """Return whether the check that is declared for a service succeeds."""
        declared = self.services[name].get("healthcheck")
        if declared is None:
            return self.run(name, *self.image.healthcheck) == 0
        how, *command = declared["test"]
        shell = ["/bin/sh", "-c"] if how == "CMD-SHELL" else []
        return self.run(name, *shell, *command) == 0

    def fetch(self, name, path):
        """Return what a service answers, None where it does not."""
        try:
            with urlopen(f"http://{self.address(name)}{path}", timeout=5) as answer:
                return answer.read().decode()
        except (URLError, ConnectionError):
            return None

    def stop(self, name, within_s):
        """End a service as the engine does, and return its exit code."""
        process = self.processes[name]
        process.send_signal(signal.SIGTERM)
        return process.wait(within_s)

    def log(self, name):
        return self.folder / f"{name}.log"

    def _popen(self, name, command):
        with self.log(name).open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - what the files declare
                command, stdout=log, stderr=log, env=_PATH | self.environment(name)
            )

    def _command(self, name):
        """Return what the container of a service runs."""
        service = self.services[name]
        image = service["image"].partition(":")[0]
        if "command" in service:
            words = [*service.get("entrypoint", ()), *service["command"]]
            return [self.here(word, name) for word in words]
        if image == KAFKA:
            return self._kafka(name)
        if image == PROMETHEUS:
            words = [self.here(word, name) for word in PROMETHEUS_COMMAND]
            return [*words, f"--web.listen-address={self.address(name)}"]
        return self._confined([self.here(word, name) for word in self.image.command])

    def _kafka(self, name):
        """Return the command of the broker, as its image makes it."""
        settings = {
            key.removeprefix("KAFKA_").lower().replace("_", "."): value
            for key, value in self.environment(name).items()
        }
        file = self.folder / "server.properties"
        file.write_text("".join(f"{k}={v}\n" for k, v in settings.items()))
        format_ = ("format", f"--cluster-id={KAFKA_CLUSTER_ID}", "-c", str(file))
        formatting = kafka_command("kafka.tools.StorageTool", *format_)
        assert self._popen(name, formatting).wait() == 0, self.log(name).read_text()
        return kafka_command("kafka.Kafka", str(file))

    def _confined(self, command):
        """Return a command that runs with the rights that the compose file gives."""
        if not self.sandboxed:
            return command
        needed = [sys.base_prefix, sys.prefix, self.deploy.parent, self.folder]
        lists = [*self.writable, "--", *needed, "--"]
        return [
            *("unshare", "--mount", "bash", str(SANDBOX), self.image.user),
            *map(str, lists),
            *command,
        ]

    def _write_programs(self):
        folder = self.folder / "bin"
        folder.mkdir()
        topics = folder / "kafka-topics.sh"
        java = shlex.join(kafka_command("org.apache.kafka.tools.TopicCommand"))
        topics.write_text(f'#!/bin/sh\nexec {java} "$@"\n')
        topics.chmod(0o755)

    def _write_configurations(self):
        sources = [self.deploy / "streamdiff.toml", *self.deploy.glob("prometheus/*")]
        for source in sources:
            folder = "streamdiff" if source.suffix == ".toml" else "prometheus"
            text = self.here(source.read_text())
            (self.folder / "etc" / folder / source.name).write_text(text)


_PATH = {"PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}


def _free_ports(number):
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]
