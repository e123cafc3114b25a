"""The README names commands, options, files and folders that exist."""

import re
import shlex
from pathlib import Path

import click
import pytest

from streamdiff import hookspecs
from streamdiff.adapters.avro.schemas import load
from streamdiff.app.topics import consumed_topics, topics_of
from streamdiff.cli.program import program
from streamdiff.config import Settings

CHECKOUT = Path(__file__).parents[2]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
# Variables of the environment may stand before a command.
CALL = re.compile(r"^(?:\w+=\S+ +)*(streamdiff .+)$", re.MULTILINE)
LINES = [line for block in BLOCKS for line in CALL.findall(block.replace("\\\n", " "))]


@pytest.mark.parametrize("line", LINES)
def test_commands_are_calls_that_are_understood(line):
    words = shlex.split(line.partition(" > ")[0], comments=True)[1:]
    command, path = program, []
    while isinstance(command, click.Group):
        path.append(words.pop(0))
        command = command.get_command(click.Context(command), path[-1])
        assert command is not None, f"there is no {' '.join(path)}"
    _, rest, _ = command.make_parser(click.Context(command)).parse_args(words)
    assert rest == []


def test_pictures_and_files_that_are_linked_to_exist():
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    assert [target for target in targets if not (CHECKOUT / target).is_file()] == []


def test_links_within_lead_to_headings():
    headings = {
        heading.lower().replace(" ", "-")
        for heading in re.findall(r"^## (.+)$", README, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= headings


def test_every_hook_is_told_of():
    hooks = {name for name in vars(hookspecs) if name.startswith("streamdiff_")}
    assert hooks == set(re.findall(r"`(streamdiff_\w+)`", README)) & hooks


def test_the_table_of_topics_is_what_there_is():
    told = {
        name.strip("`"): (way, record)
        for name, way, record in re.findall(
            r"^\| `(streamdiff\.[\w-]+)` \((in|out)\) \|.*\| (\w+)[^|]*\|$",
            README,
            re.MULTILINE,
        )
    }
    topics, consumed = topics_of(Settings()), consumed_topics(Settings())
    assert set(told) == {
        topics.visit_ready,
        topics.template_update,
        topics.alerts(0, ""),
        topics.visit_processed,
        topics.template_rebuilt,
        topics.dead_letter,
    }
    assert {name for name, (way, _) in told.items() if way == "in"} == set(consumed)
    for name, (_, record) in told.items():
        if name != topics.dead_letter:
            assert load(record)["name"].endswith(f".{record}")


def test_the_map_names_every_folder_and_none_that_is_not_there():
    develop = README.partition("\n## Develop\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^    ([a-z/, ]+?)  +\S", develop, re.MULTILINE)
    told = {Path(name) for line in lines for name in _names(line)}
    assert all((CHECKOUT / name).is_dir() for name in told)
    packages = {
        path.relative_to(CHECKOUT)
        for path in (CHECKOUT / "streamdiff").iterdir()
        if (path / "__init__.py").exists()
    }
    there = {Path(name) for name in ("plugins", "schemas", "tests", "deploy")}
    assert packages | there == told


def _names(line):
    """Yield the folders of a line of the map, such as ``streamdiff/app, cli``."""
    first, *others = line.split(", ")
    yield first.rstrip("/")
    for other in others:
        yield f"{Path(first).parent}/{other}"
