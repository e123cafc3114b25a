"""The package that a plugin begins with."""

import ast
import tomllib

import pytest

from streamdiff.app.guide import page
from streamdiff.app.new_plugin import SKELETONS, package, skeleton, write_package
from streamdiff.errors import ConfigError
from streamdiff.plugins import KINDS, discover
from streamdiff.testing.contract import checks


@pytest.mark.parametrize("kind", SKELETONS)
def test_a_package_has_all_that_is_installed_and_tested(kind):
    files = package(kind, "my_thing")
    project = tomllib.loads(files["pyproject.toml"])
    assert project["project"]["entry-points"]["streamdiff"] == {
        "my_thing": "streamdiff_my_thing"
    }
    code = files["src/streamdiff_my_thing/__init__.py"]
    ast.parse(code)
    assert "Mine" not in code
    assert '{"my_thing": MyThing' in code
    assert f'kind = "{kind}"' in files["tests/test_contract.py"]
    assert "my_thing" in files["README.md"]
    assert ".github/workflows/tests.yml" in files


def test_the_code_is_that_of_the_guide():
    guide = page("find", discover())
    assert skeleton("find", "mine") in guide


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_of_a_kind_has_protocol_units_hook_and_rules(kind):
    guide = page(kind, discover())
    assert KINDS[kind] in guide
    assert "nJy" in guide
    for check in checks(kind):
        assert check.title in guide


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("observe", "mine", "no beginning for plugins of kind 'observe'"),
        ("find", "My-Plugin", "'My-Plugin' can not name a plugin"),
    ],
)
def test_what_can_not_be_begun_is_refused(tmp_path, kind, name, message):
    with pytest.raises(ConfigError, match=message):
        write_package(kind, name, tmp_path / "new")


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ConfigError, match="is not empty"):
        write_package("find", "mine", tmp_path)
