"""The constraints of the image, for real: no root, and only a cache to write to."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

SANDBOX = Path(__file__).with_name("read_only.sh")
USER = "10001"


@pytest.fixture
def folder():
    """Return a folder that other users can reach, as those of pytest can not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_until_ready(process, port):
    while process.poll() is None:
        try:
            with urlopen(f"http://127.0.0.1:{port}/readyz") as answer:
                return answer.status == 200
        except (URLError, ConnectionError):
            time.sleep(0.1)
    return False


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"),
    reason="needs root, to take rights away",
)
def test_the_service_runs_without_root_and_on_a_read_only_root(folder, port, checkout):
    config = folder / "streamdiff.toml"
    config.write_text(f"""
[stream]
transport = "embedded"
workers = 1
http = "127.0.0.1:{port}"
[store]
uri = "file:///var/lib/streamdiff/none"
""")
    cache = folder / "cache"
    cache.mkdir()
    shutil.chown(cache, int(USER), int(USER))
    log = folder / "log"
    needed = [sys.base_prefix, sys.prefix, checkout]
    command = ["bash", SANDBOX, cache, USER, *needed, "--", "streamdiff", "run", "-c"]
    with log.open("w") as stream:
        process = subprocess.Popen(  # noqa: S603 - the program under test
            ["unshare", "--mount", *map(str, command), str(config)],  # noqa: S607
            stdout=stream,
            stderr=stream,
            env=os.environ | {"PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"},
        )
    try:
        assert wait_until_ready(process, port), log.read_text()
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.terminate()
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    assert f"Uid:\t{USER}\t{USER}" in status
    assert "CapEff:\t0000000000000000" in status
    assert list(cache.glob("numba/**/*.nbc")), "the machine code is not kept"
    assert "cannot be cached" not in log.read_text()
