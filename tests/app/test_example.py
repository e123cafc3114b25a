import re
import tomllib

import pytest
from pydantic import BaseModel

from streamdiff.app import wiring
from streamdiff.app.environment import find_plugins
from streamdiff.app.example import PLACEHOLDERS, example
from streamdiff.config import Settings, from_tree


@pytest.fixture(scope="module")
def registry():
    return find_plugins()


@pytest.fixture(scope="module")
def text(registry):
    return example(registry)


def keys(model, table=""):
    """Yield "table.key" of a model and those in it."""
    for name, field in model.model_fields.items():
        key = f"{table}{field.alias or name}"
        if isinstance(field.annotation, type) and issubclass(
            field.annotation, BaseModel
        ):
            yield from keys(field.annotation, f"{key}.")
        else:
            yield key


def leaves(tree, table=""):
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{table}{name}.")
        else:
            yield f"{table}{name}"


def test_the_example_has_every_key_of_the_configuration(text):
    tree = tomllib.loads(text)
    del tree["plugins"]
    assert set(leaves(tree)) == set(keys(Settings)) - {"plugins"}


def test_the_example_says_the_defaults_but_for_what_has_none(text):
    tree = tomllib.loads(text)
    del tree["plugins"]
    for table in ("stream", "store", "input"):
        for key in PLACEHOLDERS:
            tree[table].pop(key, None)
    assert from_tree(tree) == Settings()


def test_the_example_passes_the_check(text, registry):
    settings = from_tree(tomllib.loads(text))
    settings.require_service()
    wiring.check(settings, registry)


def test_the_options_of_the_plugins_pass_the_check_when_enabled(text, registry):
    enabled = re.sub(r"^# (\w+ = .+)$", r"\1", text, flags=re.MULTILINE)
    settings = from_tree(tomllib.loads(enabled))
    assert settings.plugins["subtract"]["al"]
    wiring.check(settings, registry)


def test_the_example_shows_every_option_of_the_chosen_plugins(text, registry):
    options = registry.get("subtract", "al").options.model_fields
    section = text.partition("[plugins.subtract.al]")[2].partition("\n\n")[0]
    assert [line.split()[1] for line in section.strip().splitlines()] == list(options)
