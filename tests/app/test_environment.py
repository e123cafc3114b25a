from importlib.metadata import EntryPoint

import pytest

from streamdiff import plugins
from streamdiff.app.environment import DISABLED, find_plugins, read_settings


@pytest.mark.parametrize("text", ["streamdiff", " other , streamdiff,", "streamdiff,x"])
def test_a_distribution_can_be_disabled_by_its_name(monkeypatch, text):
    monkeypatch.setenv(DISABLED, text)
    assert not find_plugins().plugins


@pytest.mark.parametrize("text", ["", " , ", "other"])
def test_nothing_else_is_disabled(monkeypatch, text):
    monkeypatch.setenv(DISABLED, text)
    assert "al" in find_plugins().names("subtract")


def test_a_disabled_package_is_not_even_imported(monkeypatch):
    point = EntryPoint(name="broken", value="no_such_module", group="streamdiff")
    monkeypatch.setattr(plugins, "entry_points", lambda **_: [point])
    monkeypatch.setenv(DISABLED, "unknown")  # of an entry point on its own
    assert not find_plugins().broken


def test_the_environment_is_on_top_of_the_file(monkeypatch, tmp_path):
    path = tmp_path / "s.toml"
    path.write_text('[stream]\ngroup = "file"\nworkers = 3\n')
    monkeypatch.setenv("STREAMDIFF__STREAM__GROUP", "environment")
    stream = read_settings(path).stream
    assert (stream.group, stream.workers) == ("environment", 3)
