"""The program, run in this process or as one of its own, and some files."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from streamdiff.adapters.fits.exposure import encode_exposure
from streamdiff.cli import main
from streamdiff.testing import PointSource, Scene

SKY = Scene.star_field(shape=(160, 160), density_per_mpx=2000, seed=4)


@dataclass(frozen=True)
class Ended:
    """How the program ended."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    yield
    structlog.reset_defaults()


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the program in this process, and return how it ended."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["streamdiff", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        told = capsys.readouterr()
        return Ended(end.value.code, told.out, told.err)

    return call


@pytest.fixture(scope="session")
def program():
    """Return the console script that was installed."""
    return Path(sys.executable).with_name("streamdiff")


@pytest.fixture
def run_alone(program):
    """Run the program as a process of its own, and return how it ended."""

    def call(*arguments, **options):
        done = subprocess.run(  # noqa: S603 - arguments of the tests
            [program, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            **options,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """Three epochs and a science image with a new star, as FITS files."""
    folder = tmp_path_factory.mktemp("images")
    new = SKY.add(PointSource(60, 70, 3e4))
    exposures = {
        f"epoch{n}": SKY.observe(fwhm=2.6, seed=n, visit=n) for n in range(1, 4)
    } | {"science": new.observe(fwhm=3.2, seed=9, visit=9)}
    paths = {name: folder / f"{name}.fits" for name in exposures}
    for name, exposure in exposures.items():
        paths[name].write_bytes(encode_exposure(exposure))
    return paths


@pytest.fixture
def config(tmp_path):
    """Write a configuration and return its path."""

    def write(text):
        path = tmp_path / "streamdiff.toml"
        path.write_text(text)
        return path

    return write
