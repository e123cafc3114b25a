import signal
import subprocess
from urllib.request import urlopen

import pytest

from streamdiff.adapters.avro.container import write_alerts


def test_pages_are_served_until_a_signal(tmp_path, program):
    write_alerts(tmp_path / "SimCam_7_0.avro", [])
    process = subprocess.Popen(  # noqa: S603 - the program under test
        [program, "monitor", tmp_path, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            url = process.stdout.readline().split()[0]
            assert url.startswith("http://127.0.0.1:")
            with urlopen(url, timeout=60) as answer:  # noqa: S310 - of this machine
                assert b"<h1>Overview</h1>" in answer.read()
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(60) in {0, -signal.SIGTERM}
        assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name either FILES or a configuration"),
        (["x.avro", "-c", "x.toml"], "name either FILES or a configuration"),
        (["x.avro", "--host", "192.0.2.1"], "choose another port"),
    ],
)
def test_what_can_not_be_served_is_named(run, arguments, told):
    end = run("monitor", *arguments)

    assert end.code == 2
    assert told in end.err
