"""The service as a process of its own, on a broker of this one."""

import json
import signal
import subprocess
from contextlib import contextmanager

import pytest

from streamdiff.adapters.avro.events import decode_event
from streamdiff.adapters.embedded import EmbeddedBroker
from streamdiff.app.service import Service
from streamdiff.model import Outcome, Reason

COMPLETE = "[store]\nuri = 'memory://templates'\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (COMPLETE + "[stream]\ntransport = 'memory'", "'memory' is for tests"),
        (COMPLETE, "[stream] brokers: required"),
        ("[stream]\ntransport = 'embedded'", "[store] uri: required"),
        (
            COMPLETE + "[stream]\ntransport = 'embedded'\n[pipeline]\nfind = 'ai'",
            "find",
        ),
    ],
)
def test_a_service_that_could_not_work_does_not_start(run, config, text, told):
    end = run("run", "-c", config(text))
    assert end.code == 2
    assert told in end.err


@pytest.fixture
def started(monkeypatch):
    """Return the services that would have run."""
    services = []
    monkeypatch.setattr("streamdiff.cli.run.Metrics", lambda: None)

    def run(service):
        services.append(service)

    monkeypatch.setattr(Service, "run", run)
    return services


@pytest.mark.parametrize("only", ["visits", "templates"])
def test_one_kind_of_events_can_be_asked_for(run, config, started, only):
    path = config(COMPLETE + "[stream]\nbrokers = 'host:1'")
    assert run("run", "-c", path, "--only", only).code == 0
    assert [service.settings.stream.only for service in started] == [only]


def test_a_broker_of_its_own_is_told_and_used(run, config, started):
    end = run("run", "-c", config(COMPLETE + "[stream]\ntransport = 'embedded'"))
    (service,) = started
    assert end.out == f"embedded broker: {service.transport.brokers}\n"
    assert service.transport.brokers.startswith("127.0.0.1:")


@pytest.fixture(scope="module")
def broker():
    names = ("visit-ready", "template-update", "visit-processed", "dead-letter")
    with EmbeddedBroker({f"streamdiff.{name}": 1 for name in names}) as broker:
        yield broker


@contextmanager
def running(program, path, log):
    """Run the service; it is killed if it has not ended with the block."""
    with log.open("w") as stream:
        process = subprocess.Popen(  # noqa: S603 - the program under test
            [program, "run", "-c", path], stdout=stream, stderr=stream
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def first_report(broker, process):
    """Return the first report, unless the process ends without one."""
    consumer = broker.transport().consumer("reader")
    consumer.subscribe(
        ["streamdiff.visit-processed"], on_assign=id, on_revoke=id, on_lost=id
    )
    try:
        while process.poll() is None:
            if record := consumer.poll(1.0):
                return decode_event(record)
    finally:
        consumer.close()
    return None


def test_an_event_is_processed_and_sigterm_ends_with_exit_code_0(
    run, program, config, broker, images, tmp_path
):
    path = config(f"""
[stream]
brokers = "{broker.bootstrap}"
delivery = "at_least_once"
workers = 1
http = ""
[store]
uri = "{(tmp_path / "templates").as_uri()}"
[input]
roots = ["{images["science"].parent.as_uri()}"]
""")
    assert run("publish", "visit-ready", images["science"], "-c", path).code == 0
    log = tmp_path / "log"
    with running(program, path, log) as process:
        report = first_report(broker, process)
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=60)
    assert report is not None, log.read_text()
    assert (report.outcome, report.reason) == (Outcome.SKIPPED, Reason.NO_TEMPLATE)
    assert code == 0, log.read_text()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {"event_finished", "stopping"} <= {line["event"] for line in lines}
