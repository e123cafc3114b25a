"""Chaos on a real Kafka: ``python tests/chaos/run.py --seed 1``.

Consumers and workers are killed, stopped, restarted; the broker restarts and is cut
off; events are poison, hang, or crash their worker. In the end a reader of
committed records must see everything once, in order.
"""

import argparse
import json
import math
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent))

from catalogue import judge_catalogue, tally
from consumers import FAULTS, KILLS, RESTART, SESSION_S, Consumers, Faults
from verdict import Progress, judge, read
from world import (
    CRASH,
    HANG,
    NAMES,
    PARTITIONS,
    TOPICS,
    answers,
    build,
    create_topics,
    make_plan,
    publish,
    tree,
)

from streamdiff.adapters.embedded import EmbeddedBroker
from streamdiff.testing.kafka_broker import HOST, KafkaBroker, Listener
from streamdiff.testing.postgres_server import PostgresServer
from streamdiff.testing.tcp_proxy import TcpProxy

GROUP = "chaos"


@dataclass(kw_only=True)
class Chaos:
    """One run.

    Attributes
    ----------
    seed : int
    visits, consumers, workers : int
    delivery : str
    faults : sequence of str
        Names in `consumers.Faults`; each comes as often as it is named.
    pause_s : float
        Mean time between two of them [s].
    visit_timeout_s : float
    misbehaving : sequence of int
        Visit numbers from which the plugin misbehaves, one visit for each.
    embedded : bool
        On the embedded broker instead: it keeps 5 MiB per partition, so few visits.
    associate : bool
        With DiaObjects, in a PostgreSQL that is restarted once, too.
    limit_s : float
        The run fails if it takes longer [s].
    """

    seed: int
    visits: int = 300
    consumers: int = 3
    workers: int = 2
    delivery: str = "exactly_once"
    faults: tuple[str, ...] = FAULTS * 2
    pause_s: float = 4.0
    limit_s: float = 1500.0
    visit_timeout_s: float = 30.0
    misbehaving: tuple[int, ...] = (HANG, CRASH)
    embedded: bool = False
    associate: bool = False
    report: dict = field(default_factory=dict)

    def run(self, folder: Path) -> list[str]:
        """Return what is wrong in the end."""
        random = Random(self.seed)  # noqa: S311 - chaos, no secret
        images = build(folder)
        plan = make_plan(folder, images, self.visits, random, self.misbehaving)
        with ExitStack() as stack:
            server = stack.enter_context(PostgresServer()) if self.associate else None
            catalogue = server.new_database() if server else ""
            start = self._mock if self.embedded else self._kafka
            broker, proxy, brokers = start(folder, stack)
            publish(broker.bootstrap, plan)
            config = write_config(
                folder,
                catalogue,
                brokers=brokers,
                group=GROUP,
                only="visits",
                delivery=self.delivery,
                workers=self.workers,
                visit_timeout_s=self.visit_timeout_s,
            )
            consumers = Consumers(config, self.consumers, folder)
            stack.callback(consumers.kill)
            began = time.monotonic()
            progress = Progress(broker.bootstrap, GROUP)
            stack.callback(progress.close)
            faults = Faults(consumers, broker, proxy, random, server)
            self._disturb(progress, consumers, faults, len(plan.events))
            self._wait(progress, consumers, until=0, limit_s=self.limit_s)
            codes = consumers.stop()
            self.report |= {
                "seed": self.seed,
                "delivery": self.delivery,
                "visits": self.visits,
                "poison": plan.n_poison,
                "elapsed_s": round(time.monotonic() - began, 1),
                "starts": consumers.starts,
                "exits": dict(consumers.exits),
                "last_exits": codes,
            }
            wrong = judge(
                broker.bootstrap, plan, exactly_once=self.delivery == "exactly_once"
            )
            if server:
                reference = server.new_database()
                answers(folder, plan.good, reference)
                alerts = read(broker.bootstrap, TOPICS.alerts(0, ""))
                wrong += judge_catalogue(catalogue, reference, alerts)
                self.report |= tally(catalogue)
        # one that had not yet begun to listen to signals had not begun to work either
        bad = [code for code in codes if code not in {0, -signal.SIGTERM}]
        wrong += [f"a consumer ended with {code}" for code in bad]
        return wrong

    @staticmethod
    def _kafka(folder: Path, stack: ExitStack):
        """Start a real Kafka, and the proxy that it tells its clients to use."""
        proxy = stack.enter_context(TcpProxy(lambda: broker.ports["PROXIED"]))
        proxied = Listener(name="PROXIED", advertised_port=proxy.port)
        broker = stack.enter_context(KafkaBroker(folder, listeners=(proxied,)))
        create_topics(broker.bootstrap)
        return broker, proxy, f"{HOST}:{proxy.port}"

    @staticmethod
    def _mock(_: Path, stack: ExitStack):
        """Start the embedded broker, in this process: not in that of a consumer."""
        broker = EmbeddedBroker(dict.fromkeys(NAMES, PARTITIONS))
        stack.enter_context(broker)
        return broker, None, broker.bootstrap

    def _disturb(
        self, progress: Progress, consumers: Consumers, faults: Faults, total: int
    ) -> None:
        random = Random(self.seed)  # noqa: S311 - chaos, no secret
        names = random.sample(self.faults, len(self.faults))
        # nothing happens before the first consumers work, or after all is done
        self._wait(progress, consumers, until=total - 1, limit_s=300)
        happened = []
        for name in names:
            if progress.left == 0:
                break
            print(f"  {progress.left} left: {name}", flush=True)  # noqa: T201
            getattr(faults, name)()
            happened.append(name)
            self._let_work(progress, consumers, random.expovariate(1 / self.pause_s))
        self.report["faults"] = happened

    def _let_work(
        self, progress: Progress, consumers: Consumers, pause_s: float
    ) -> None:
        """Wait a time, and until something has been done: else nothing is disturbed."""
        began, before = time.monotonic(), progress.left
        while time.monotonic() < began + self.limit_s:
            consumers.look_after()
            left = progress.left
            if left < before < math.inf and time.monotonic() > began + pause_s:
                return
            before = left if before == math.inf else before
            if left == 0:
                return
            time.sleep(0.2)

    def _wait(
        self, progress: Progress, consumers: Consumers, *, until: int, limit_s: float
    ) -> None:
        deadline = time.monotonic() + limit_s
        while (left := progress.left) > until:
            consumers.look_after()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{left} events are left after {limit_s:.0f} s")
            time.sleep(0.5)


def write_config(folder: Path, catalogue: str = "", **stream) -> Path:
    """Write the configuration of a service of the group; return its path."""
    settings = tree(
        folder,
        catalogue,
        transport="kafka",
        max_attempts=6,  # the kills of the chaos count, too
        dead_letter_limit={"ratio": 1.0, "consecutive": 100},
        kafka={
            "session.timeout.ms": int(SESSION_S * 1000),
            "heartbeat.interval.ms": 1000,
            "reconnect.backoff.max.ms": 1000,
        },
        **stream,
    )
    settings["pipeline"]["measure"].append("misbehaviour")
    path = folder / "streamdiff.toml"
    lines = [_table(name, values) for name, values in settings.items()]
    path.write_text("\n".join(lines))
    return path


def _table(name: str, values: dict) -> str:
    """Return a table as TOML; what is nested is inline."""
    rows = [f"{json.dumps(key)} = {_value(value)}" for key, value in values.items()]
    return f"[{name}]\n" + "\n".join(rows) + "\n"


def _value(value) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(k)} = {_value(v)}" for k, v in value.items())
        return f"{{ {inner} }}"
    return json.dumps(value)


def main() -> None:
    """Run with the options of the command line; exit with 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--visits", type=int, default=300)
    parser.add_argument("--delivery", default="exactly_once")
    parser.add_argument("--embedded", action="store_true")
    parser.add_argument("--associate", action="store_true", help="with DiaObjects")
    parser.add_argument("--folder", type=Path, help="keeps logs and data there")
    options = parser.parse_args()
    chaos = Chaos(seed=options.seed, visits=options.visits, delivery=options.delivery)
    if options.embedded:
        chaos = replace(
            chaos, embedded=True, delivery="at_least_once", faults=KILLS * 3
        )
    if options.associate:
        chaos = replace(chaos, associate=True, faults=(*chaos.faults, RESTART))
    with ExitStack() as stack:
        folder = options.folder
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        wrong = chaos.run(folder)
    print(json.dumps(chaos.report | {"wrong": wrong}))  # noqa: T201 - the result
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
