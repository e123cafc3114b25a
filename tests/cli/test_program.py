import shlex
import subprocess
import sys

import click
import pytest

from streamdiff import __version__
from streamdiff.cli.examples import EXAMPLES
from streamdiff.cli.program import COMMANDS, program

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


def commands(command=program, path=()):
    """Yield the names of all commands that do something, and the commands."""
    context = click.Context(command)
    if not isinstance(command, click.Group):
        yield " ".join(path), command
        return
    for name in command.list_commands(context):
        yield from commands(command.get_command(context, name), (*path, name))


def test_the_help_of_every_command_ends_with_an_example():
    without = [
        name for name, command in commands() if "xample" not in str(command.epilog)
    ]
    assert without == []


def test_examples_are_calls_that_are_understood():
    known = dict(commands())
    for name, lines in EXAMPLES.items():
        for line in lines:
            words = shlex.split(line.partition(" > ")[0])
            arguments = words[words.index("streamdiff") + 1 + len(name.split()) :]
            parser = known[name].make_parser(click.Context(known[name]))
            given, rest, _ = parser.parse_args(arguments)
            assert rest == []
            assert set(given) >= {p.name for p in known[name].params if p.required}


WITHOUT_JSON = {
    "run": "runs until it is stopped; its log lines are JSON",
    "monitor": "runs until it is stopped; /status.json is for programs",
    "plugins guide": "a page to read; plugins show --json has the options",
    "config example": "what it prints is for a program: a configuration",
    "help": "text to read",
}


def test_what_a_program_might_read_is_told_as_json():
    names = {
        name
        for name, command in commands()
        if not any("--json" in option.opts for option in command.params)
    }
    assert names == set(WITHOUT_JSON)


def test_completion_names_commands_without_importing_them(run_alone):
    end = run_alone(
        env={
            "_STREAMDIFF_COMPLETE": "bash_complete",
            "COMP_WORDS": "streamdiff al",
            "COMP_CWORD": "1",
        }
    )
    assert end.out == "plain,alerts\n"


def test_options_are_completed(run_alone):
    end = run_alone(
        env={
            "_STREAMDIFF_COMPLETE": "bash_complete",
            "COMP_WORDS": "streamdiff run --on",
            "COMP_CWORD": "2",
        }
    )
    assert end.out == "plain,--only\n"


@pytest.mark.parametrize("arguments", [["plugins", "list"], ["doctor"]])
def test_no_colour_where_it_is_not_wanted(run, monkeypatch, arguments):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[3" not in run(*arguments).out


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
