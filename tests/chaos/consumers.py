"""The consumer processes, who restarts them, and what is done to them."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from random import Random

from streamdiff.testing.kafka_broker import KafkaBroker, guarded
from streamdiff.testing.postgres_server import PostgresServer
from streamdiff.testing.tcp_proxy import TcpProxy

SESSION_S = 6.0
REFUSAL_S = 20.0
_DRAIN_S = 60.0


class Consumers:
    """Services of one group; one that ends is started again, as a supervisor does.

    Parameters
    ----------
    config : Path
    number : int
    folder : Path
        For their logs, and with the plugin.
    """

    def __init__(self, config: Path, number: int, folder: Path) -> None:
        self._config = config
        self._folder = folder
        self._lock = threading.Lock()
        self._stopping = False
        self.starts = 0
        self.exits: Counter[int] = Counter()
        self.processes = [self._start() for _ in range(number)]

    def look_after(self) -> None:
        """Start again what has ended."""
        with self._lock:
            for index, process in enumerate(self.processes):
                if process.poll() is not None and not self._stopping:
                    self.exits[process.returncode] += 1
                    self.processes[index] = self._start()

    def stop(self) -> list[int]:
        """End all as an operator does; return their exit codes."""
        self._stopping = True
        for process in self.processes:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        try:
            return [process.wait(_DRAIN_S + 30) for process in self.processes]
        finally:
            self.kill()

    @staticmethod
    def workers(process: subprocess.Popen) -> list[int]:
        """Return the worker processes of a consumer."""
        return _children(process.pid)

    def kill(self) -> None:
        """End all at once."""
        self._stopping = True
        for process in self.processes:
            process.kill()
            process.wait()

    def _start(self) -> subprocess.Popen:
        self.starts += 1
        program = Path(sys.executable).with_name("streamdiff")
        paths = [str(self._folder / "plugin"), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
        with (self._folder / f"consumer-{self.starts:03d}.log").open("w") as log:
            return subprocess.Popen(  # noqa: S603 - the program under test
                guarded([str(program), "run", "-c", str(self._config)]),
                stdout=log,
                stderr=log,
                env=environment,
            )


class Faults:
    """All that can be done to consumers, workers, the broker, and the catalogue."""

    def __init__(
        self,
        consumers: Consumers,
        broker: KafkaBroker,
        proxy: TcpProxy,
        random: Random,
        catalogue: PostgresServer | None = None,
    ) -> None:
        self._consumers = consumers
        self._broker = broker
        self._proxy = proxy
        self._random = random
        self._catalogue = catalogue

    def kill_consumer(self) -> None:
        self._any().kill()

    def kill_worker(self) -> None:
        children = [
            child
            for process in self._consumers.processes
            for child in Consumers.workers(process)
        ]
        if children:
            os.kill(self._random.choice(children), signal.SIGKILL)

    def stop_consumer_beyond_its_session(self) -> None:
        process = self._any()
        process.send_signal(signal.SIGSTOP)
        time.sleep(SESSION_S + 4)
        process.send_signal(signal.SIGCONT)

    def restart_one_after_the_other(self) -> None:
        for process in list(self._consumers.processes):
            process.terminate()
            try:
                process.wait(_DRAIN_S + 30)
            finally:
                self._consumers.look_after()

    def restart_broker(self) -> None:
        self._broker.restart()

    def refuse_connections(self) -> None:
        self._proxy.refuse()
        time.sleep(REFUSAL_S)
        self._proxy.admit()

    def restart_catalogue(self) -> None:
        self._catalogue.stop()
        self._catalogue.start()

    def _any(self) -> subprocess.Popen:
        return self._random.choice(self._consumers.processes)


def _children(pid: int) -> list[int]:
    """Return the worker processes of a consumer."""
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        lists = [(task / "children").read_text().split() for task in tasks]
    except OSError:
        return []
    found = [int(child) for one in lists for child in one]
    return [child for child in found if _is_worker(child)]


def _is_worker(pid: int) -> bool:
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


# Of a run with a catalogue alone.
RESTART = "restart_catalogue"
FAULTS = tuple(n for n in vars(Faults) if not n.startswith("_") and n != RESTART)
KILLS = ("kill_consumer", "kill_worker")
