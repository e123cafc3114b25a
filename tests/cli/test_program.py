import subprocess
import sys

import pytest

from streamdiff import __version__
from streamdiff.cli.program import COMMANDS

HEAVY = ("numpy", "astropy", "scipy", "numba", "pydantic", "confluent_kafka")


def test_help_lists_every_command(run):
    end = run("--help")
    assert end.code == 0
    for name, (_, text) in COMMANDS.items():
        assert name in end.out
        assert text in end.out


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from streamdiff.cli import main; sys.argv[1:] = ['--help']\n"
        "try: main()\n"
        f"finally: print(sorted(set({HEAVY}) & set(sys.modules)))"
    )
    done = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(run, name):
    end = run(name, "--help")
    assert end.code == 0
    assert f"Usage: streamdiff {name}" in end.out


def test_the_version_is_told(run):
    assert run("--version").out == f"streamdiff, version {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["subtract"],
        ["--no-such-option"],
        ["run"],
        ["config", "check", "-c", "/no/such/file.toml"],
        ["plugins", "show", "no-such-plugin"],
    ],
)
def test_a_call_that_can_not_be_meant_is_exit_code_2(run, arguments):
    end = run(*arguments)
    assert end.code == 2
    assert end.err


def test_an_error_is_one_line_that_names_the_file(run, tmp_path, images):
    missing, output = tmp_path / "nothing.fits", tmp_path / "d.fits"
    end = run("subtract", missing, images["epoch1"], "-o", output)
    assert end.code == 1
    assert len(end.err.splitlines()) == 1
    assert end.err.startswith("streamdiff: ")
    assert "nothing.fits" in end.err
    assert not output.exists()


def test_debug_shows_the_traceback(run, tmp_path, images):
    missing = tmp_path / "nothing.fits"
    end = run("--debug", "subtract", missing, images["epoch1"], "-o", tmp_path / "d")
    assert end.code == 1
    assert "Traceback" in end.err
    assert "UnreadableImageError" in end.err


def test_an_interrupt_is_exit_code_130_without_a_traceback(run, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("streamdiff.cli.plugins.find_plugins", interrupted)
    end = run("plugins", "list")
    assert end.code == 130
    assert "Traceback" not in end.err


def test_the_installed_program_ends_like_the_function(run_alone, tmp_path):
    assert run_alone("--version").code == 0
    end = run_alone("config", "check", "-c", tmp_path / "none.toml")
    assert end.code == 2
    assert "none.toml: can not be read" in end.err
    assert "Traceback" not in end.err
