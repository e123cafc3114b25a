"""Every command of the runbook is run, in its order, beside a service at work.

The stream is the embedded broker, the pictures are small. What systemd would do is
done by the test: its unit starts the same program.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from socket import create_server

import click
import pytest
import structlog

from streamdiff.adapters.avro.events import decode_event
from streamdiff.adapters.embedded import EmbeddedBroker
from streamdiff.adapters.fits.exposure import encode_exposure
from streamdiff.cli.program import main, program
from streamdiff.model import Outcome, Reason
from streamdiff.testing import PointSource, Scene

CHECKOUT = Path(__file__).parents[2]
RUNBOOK = (CHECKOUT / "deploy" / "RUNBOOK.md").read_text(encoding="utf-8")
STREAMDIFF = Path(sys.executable).with_name("streamdiff")
PATIENCE_S = 400
# A service starts, restarts, and replays: minutes, where the machine is busy.
pytestmark = pytest.mark.timeout(1200)
TOPICS = (
    "visit-ready",
    "template-update",
    "alerts",
    "visit-processed",
    "template-rebuilt",
    "dead-letter",
)
SKY = Scene.star_field(shape=(160, 160), density_per_mpx=2000, seed=4)
CONFIGURATION = """\
[stream]
brokers = "{brokers}"
delivery = "at_least_once"
workers = 1
http = "127.0.0.1:{port}"
[store]
uri = "{folder}/templates"
skymap = {{ patch_pixels = 600 }}
[input]
roots = ["{folder}"]
"""


def sections():
    """Return the text of each section, by its anchor."""
    parts = re.split(r"^## (.+)$", RUNBOOK, flags=re.MULTILINE)[1:]
    return {
        title.lower().replace(" ", "-"): text
        for title, text in zip(parts[::2], parts[1::2], strict=True)
    }


def commands():
    blocks = re.findall(r"^```sh\n(.*?)^```$", RUNBOOK, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_every_alarm_names_its_section_which_names_the_alarm(documents):
    (groups,) = documents("prometheus/alarms.yml")
    for rule in (rule for group in groups["groups"] for rule in group["rules"]):
        file, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert (CHECKOUT / file).samefile(CHECKOUT / "deploy" / "RUNBOOK.md")
        assert rule["alert"] in sections()[anchor], rule["alert"]


def test_links_within_the_runbook_lead_somewhere():
    assert set(re.findall(r"\]\(#([^)]+)\)", RUNBOOK)) <= set(sections())


def test_reasons_of_the_runbook_exist():
    told = set(re.findall(r"--reason (\w+)", RUNBOOK))
    assert told <= {reason.value for reason in Reason}


def test_commands_of_streamdiff_exist():
    for line in commands():
        words = [w for w in shlex.split(line) if "STREAMDIFF__" not in w]
        if words[0] != "streamdiff" or words[1] == "--version":
            continue
        command, rest = program, words[1:]
        while isinstance(command, click.Group):
            context = click.Context(command)
            found = command.get_command(context, rest[0])
            assert found is not None, line
            command, rest = found, rest[1:]
        known = {name for p in command.params for name in p.opts}
        assert {word for word in rest if word.startswith("--")} <= known, line


class World:
    """A broker, a service beside it, and the folder that both are about."""

    def __init__(self, folder, broker):
        with create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.folder, self.broker = folder, broker
        (folder / "streamdiff.toml").write_text(
            CONFIGURATION.format(
                brokers=broker.bootstrap, port=self.port, folder=folder
            )
        )
        new = SKY.add(PointSource(60, 70, 3e4))
        images = {
            f"epoch{n}": SKY.observe(fwhm=2.6, seed=n, visit=n) for n in range(1, 4)
        } | {"visit": new.observe(fwhm=3.2, seed=9, visit=9)}
        for name, exposure in images.items():
            (folder / f"{name}.fits").write_bytes(encode_exposure(exposure))
        self.service = None

    def systemctl(self, verb):
        """Do what systemd does with the unit, and return whether all is well."""
        if verb == "restart":
            self.stop()
            self.start()
        return self.service.poll() is None

    def start(self):
        with (self.folder / "log.jsonl").open("a") as log:
            self.service = subprocess.Popen(  # noqa: S603 - the program under test
                [STREAMDIFF, "run", "-c", "streamdiff.toml"],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )

    def stop(self):
        """End the service as systemd does; it must leave by itself."""
        if self.service is not None:
            self.service.send_signal(signal.SIGTERM)
            assert self.service.wait(PATIENCE_S) == 0

    def reports(self, topic, number):
        """Return the reports of a topic, once there are so many."""
        consumer = self.broker.transport().consumer("reader")
        consumer.subscribe(
            [f"streamdiff.{topic}"], on_assign=id, on_revoke=id, on_lost=id
        )
        found = []
        try:
            while len(found) < number:
                assert self.service.poll() is None, self.log()
                found += filter(None, [consumer.poll(1.0)])
        finally:
            consumer.close()
        return found

    def log(self):
        return (self.folder / "log.jsonl").read_text()

    def run(self, line):
        """Run a line of the runbook; return its exit code and what it told."""
        words = shlex.split(line)
        if words[0] == "systemctl":
            return (0 if self.systemctl(words[1]) else 1), self.log()
        if words[0] == "journalctl":
            return 0, self.log()
        if words[:2] == ["streamdiff", "monitor"]:
            return self.serve(words[1:])
        if words[0] == "streamdiff" or "STREAMDIFF__" in words[0]:
            return self.call(words)
        line = line.replace("127.0.0.1:8080", f"127.0.0.1:{self.port}")
        done = subprocess.run(  # noqa: S603 - lines of the runbook
            ["bash", "-o", "pipefail", "-c", line],  # noqa: S607
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        return done.returncode, done.stdout + done.stderr

    def call(self, words):
        """Call the program in this process: to import it again takes a while."""
        start = words.index("streamdiff")
        told = StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", words[start:])
            for assignment in words[:start]:
                patch.setenv(*assignment.split("=", 1))
            with (
                redirect_stdout(told),
                redirect_stderr(told),
                pytest.raises(SystemExit) as end,
            ):
                main()
        structlog.reset_defaults()
        return end.value.code or 0, told.getvalue()

    def serve(self, words):
        """Run what serves until it is ended; return 0 once it tells its address."""
        process = subprocess.Popen(  # noqa: S603 - a line of the runbook
            [STREAMDIFF, *words, "--port", "0"],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            text=True,
        )
        told = process.stdout.readline()
        process.terminate()
        process.stdout.close()
        process.wait(PATIENCE_S)
        return (0 if told.startswith("http://127.0.0.1") else 1), told


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return a service that made a template, processed a visit, and refused another."""
    folder = tmp_path_factory.mktemp("runbook")
    with EmbeddedBroker({f"streamdiff.{name}": 1 for name in TOPICS}) as broker:
        world = World(folder, broker)
        world.start()
        try:
            epochs = "epoch1.fits epoch2.fits epoch3.fits"
            publish = f"streamdiff publish template-update -c streamdiff.toml {epochs}"
            assert world.run(publish) == (0, "streamdiff.template-update: 1 events\n")
            world.reports("template-rebuilt", 1)
            (folder / "events.jsonl").write_text(_event("bad", folder / "bad.fits"))
            (folder / "bad.fits").write_bytes(b"no image")
            publish = "streamdiff publish visit-ready -c streamdiff.toml"
            assert world.run(f"{publish} visit.fits events.jsonl")[0] == 0
            ends = world.reports("visit-processed", 2)
            outcomes = {decode_event(end).outcome for end in ends}
            assert outcomes == {Outcome.PROCESSED, Outcome.FAILED}
            yield world
        finally:
            with suppress(ProcessLookupError):
                world.service.kill()
            world.service.wait()


def _event(event_id, path):
    return (
        f'{{"event_id": "{event_id}", "instrument": "SimCam", "visit": 10, '
        '"detector": 0, "band": "r", "midpoint_mjd_tai": 61000.5, '
        f'"exposure_time_s": 30.0, "image_uri": "{path.as_uri()}"}}\n'
    )


def test_every_command_of_the_runbook_works(world):
    failed = []
    for line in dict.fromkeys(commands()):
        code, told = world.run(line)
        if code:
            failed.append(f"{line}\n  exit code {code}: {told[-2000:]}")
    assert not failed, "\n".join(failed)
    assert "noise" in (world.folder / "night.html").read_text().lower()


def test_what_was_sent_again_is_processed(world):
    # The visit itself, and after the commands its replays under other ids.
    ends = map(decode_event, world.reports("visit-processed", 4))
    by_id = {end.event_id: end.outcome for end in ends}
    assert [id_ for id_ in by_id if id_.endswith("-with-template")]
    world.stop()
    assert world.service.returncode == 0
