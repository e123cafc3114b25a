"""How the service does beside bare pipelines, and over a long time.

``python tests/benchmarks/stream.py throughput`` runs two services and two bare
pipeline processes at the same time, on the same visits, and compares what they get
done; ``latency`` publishes at half the rate that two services reach, and tells
percentiles of the time from publication to alert; ``soak`` alternates between idle
and busy, and tells how memory and open files develop.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count, islice
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "chaos"))

from consumers import Consumers
from run import write_config
from verdict import Progress, open_reader
from world import TOPICS, answers, build, create_topics

from streamdiff.adapters.avro.events import encode_event, message_key
from streamdiff.adapters.kafka import KafkaTransport
from streamdiff.app.worker import make_handler
from streamdiff.config import load
from streamdiff.ports import ConsumedRecord, OutgoingRecord, WorkOrder
from streamdiff.testing.kafka_broker import KafkaBroker

GROUP = "benchmark"
SERVICES = 2
_WARM = 12  # events that are processed before anything is measured


class Bench:
    """A Kafka, services, and visits without an end."""

    def __init__(self, folder: Path, stack: ExitStack, side: int) -> None:
        self.folder = folder
        self._images = build(folder, side)
        answers(folder, self._images)  # they can be processed
        self._broker = stack.enter_context(KafkaBroker(folder))
        create_topics(self.brokers)
        self._producer = KafkaTransport(brokers=self.brokers).producer()
        self._numbers = count(1)
        self.config = write_config(
            folder, brokers=self.brokers, group=GROUP, workers=1, only="visits"
        )
        self._stack = stack
        self.progress = None
        self.published = 0

    @property
    def brokers(self) -> str:
        return self._broker.bootstrap

    def start(self) -> Consumers:
        services = Consumers(self.config, SERVICES, self.folder)
        self._stack.callback(services.kill)
        self.publish(_WARM)
        self.progress = Progress(self.brokers, GROUP)
        self.wait(0)
        return services

    def visits(self) -> Iterator:
        """Return events, those of the images in turn, over all partitions."""
        for number in self._numbers:
            yield replace(
                self._images[number % len(self._images)],
                event_id=f"visit-{number}",
                visit=1000 + number,
                detector=number % 40,
                published_at=datetime.now(UTC),
            )

    def publish(self, number: int) -> None:
        self._producer.send(
            [
                OutgoingRecord(
                    topic=TOPICS.visit_ready,
                    key=message_key(event),
                    value=encode_event(event),
                )
                for event in islice(self.visits(), number)
            ]
        )
        self.published += number

    @property
    def done(self) -> float:
        return self.progress.done

    def wait(self, left: int) -> None:
        while self.published - self.progress.done > left:
            time.sleep(0.1)


def bare_pipeline(config: Path, events, counter) -> None:
    """Process events one after the other, without a stream, for ever."""
    sys.path.insert(0, str(config.parent / "plugin"))  # as the services have it
    handler = make_handler(load(config, {}))
    for number in count():
        event = events[number % len(events)]
        record = ConsumedRecord(
            topic=TOPICS.visit_ready,
            partition=0,
            offset=number,
            key=message_key(event),
            value=encode_event(event),
        )
        handler(WorkOrder(record=record, attempt=1))
        with counter.get_lock():
            counter.value += 1


@contextmanager
def bare_pipelines(bench: Bench):
    """Run as many bare pipelines as there are services; give their counter."""
    context = multiprocessing.get_context("spawn")
    counter = context.Value("i", 0)
    events = list(islice(bench.visits(), 40))
    processes = [
        context.Process(
            target=bare_pipeline, args=(bench.config, events, counter), daemon=True
        )
        for _ in range(SERVICES)
    ]
    for process in processes:
        process.start()
    try:
        yield counter
    finally:
        for process in processes:
            process.kill()
            process.join()


def throughput(bench: Bench, seconds: float) -> dict:
    """Return visits per second of services and of bare pipelines, side by side."""
    bench.start()
    with bare_pipelines(bench) as counter:
        while counter.value < _WARM:
            time.sleep(0.1)
        bench.publish(20_000)
        time.sleep(5)  # until the queues are filled
        began, done, bare = time.monotonic(), bench.done, counter.value
        time.sleep(seconds)
        elapsed = time.monotonic() - began
        rates = (bench.done - done) / elapsed, (counter.value - bare) / elapsed
    return {
        "seconds": round(elapsed),
        "services_per_s": round(rates[0], 3),
        "bare_per_s": round(rates[1], 3),
        "ratio": round(rates[0] / rates[1], 3),
    }


class Arrivals:
    """When alerts could be read by somebody who reads what is committed.

    Parameters
    ----------
    brokers : str
    """

    def __init__(self, brokers: str) -> None:
        self.last: dict[str, float] = {}
        self._reader = open_reader(brokers, TOPICS.alerts(0, ""))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._reader.close()

    def _follow(self) -> None:
        while not self._ended.is_set():
            message = self._reader.poll(0.1)
            if message is not None and message.error() is None:
                event_id = dict(message.headers())["streamdiff.event_id"].decode()
                self.last[event_id] = time.monotonic()


def latency(bench: Bench, seconds: float) -> dict:
    """Return percentiles of the time from publication to alert at half load [s].

    The time of a visit is that at which the last of its alerts could be read.
    """
    bench.start()
    arrivals = Arrivals(bench.brokers)
    began = time.monotonic()
    bench.publish(60)
    bench.wait(0)
    rate = 0.5 * 60 / (time.monotonic() - began)
    published = {}
    began = time.monotonic()
    for number in range(int(seconds * rate)):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        published[f"visit-{bench.published + 1}"] = time.monotonic()
        bench.publish(1)
    bench.wait(0)
    deadline = time.monotonic() + 30
    while published.keys() - arrivals.last.keys() and time.monotonic() < deadline:
        time.sleep(0.1)
    arrivals.close()
    waits = [arrivals.last[event] - at for event, at in published.items()]
    percentiles = np.percentile(waits, [50, 90, 99])
    names = ("p50_s", "p90_s", "p99_s")
    return {
        "rate_per_s": round(rate, 3),
        "visits": len(waits),
        **dict(zip(names, percentiles.round(3).tolist(), strict=True)),
    }


def soak(bench: Bench, seconds: float) -> dict:
    """Return memory and open files, after the first quarter and at the end."""
    services = bench.start()
    samples = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        bench.publish(20)
        bench.wait(0)
        samples.append(_usage(services))
        print(samples[-1], flush=True)  # noqa: T201 - progress of a long run
        time.sleep(10)  # idle
    early, late = samples[len(samples) // 4], samples[-1]
    return {
        "cycles": len(samples),
        "early": early,
        "late": late,
        "memory_growth": round(late["mib"] / early["mib"] - 1, 4),
    }


def _usage(services: Consumers) -> dict:
    """Return the memory and the open files of all services and their workers."""
    pids = [p for one in services.processes for p in (one.pid, *services.workers(one))]
    pages = [int(Path(f"/proc/{p}/statm").read_text().split()[1]) for p in pids]
    files = [len(list(Path(f"/proc/{p}/fd").iterdir())) for p in pids]
    return {"processes": len(pids), "mib": sum(pages) / 256, "files": sum(files)}


COMMANDS = {"throughput": throughput, "latency": latency, "soak": soak}


def main() -> None:
    """Run one of the benchmarks and print what it measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--side", type=int, default=200, help="of the images [pixel]")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bench = Bench(folder, stack, options.side)
        told = COMMANDS[options.command](bench, options.seconds)
    print(json.dumps(told))  # noqa: T201 - the result


if __name__ == "__main__":
    main()
