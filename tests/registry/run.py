"""The tests of the Schema Registry against a real one: Apicurio, in memory.

Run it with ``python tests/registry/run.py``. It needs Java 17 and, the first time,
Maven: the 140 MB from Maven Central are kept in a cache of the user's.
"""

import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from pathlib import Path

VERSION = "2.6.13.Final"
ARTIFACT = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
START_S, FETCH_S = 180.0, 580.0


def main() -> int:
    """Start the registry, run the tests, stop it; return pytest's exit code."""
    (runner,) = fetched().glob("*-runner.jar")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [f"-Dquarkus.http.port={port}", "-Dquarkus.http.host=127.0.0.1"]
    process = subprocess.Popen(  # noqa: S603 - Java, with our own arguments
        [program("java"), "-Xmx512m", *options, "-jar", str(runner)],
        stdout=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
        wait_for(f"{url}/subjects", process)
        environment = os.environ | {"STREAMDIFF_TEST_REGISTRY": url}
        tests = [sys.executable, "-m", "pytest", str(Path(__file__).parent)]
        run = subprocess.run(tests, env=environment, check=False)  # noqa: S603
        return run.returncode
    finally:
        process.terminate()
        process.wait(timeout=30)


def fetched() -> Path:
    """Return the folder with the registry, from Maven Central if need be."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "streamdiff" / f"apicurio-{VERSION}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        copy = ["dependency:copy", f"-Dartifact={ARTIFACT}", "-DoutputDirectory=."]
        command = [program("mvn"), "-q", "-B", *copy]
        subprocess.run(command, cwd=work, check=True, timeout=FETCH_S)  # noqa: S603
        (archive,) = Path(work).glob("*.tar.gz")
        with tarfile.open(archive) as content:
            content.extractall(Path(work, "it"), filter="data")
        Path(work, "it").rename(folder)  # complete or not there at all
    return folder


def program(name: str) -> str:
    """Return the path of a program."""
    path = shutil.which(name)
    if path is None:
        raise SystemExit(f"no {name!r} on this machine")
    return path


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return once a page answers."""
    end = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own
                return
        except OSError:
            time.sleep(0.5)
    raise SystemExit("the registry does not start")


if __name__ == "__main__":
    sys.exit(main())
