import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Annotated

import annotated_types
import pytest

from streamdiff import hookspecs
from streamdiff.errors import ConfigError, PluginError
from streamdiff.hookspecs import API_VERSION
from streamdiff.plugins import KINDS, Origin, Plugin, discover

HEADER = """
from dataclasses import dataclass
from streamdiff.hookspecs import hookimpl

@dataclass(frozen=True, kw_only=True)
class Nothing:
    gain: float = 1.0

    def subtract(self, science, template):
        return None
"""
GOOD = """
@hookimpl
def streamdiff_subtractors():
    return {"nothing": Nothing}
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write a module and return the entry point that loads it."""
    monkeypatch.syspath_prepend(tmp_path)
    written = []

    def write(name, source):
        (tmp_path / f"{name}.py").write_text(source)
        written.append(name)
        return EntryPoint(name=name, value=name, group="streamdiff")

    yield write
    for name in written:
        sys.modules.pop(name, None)


@dataclass(frozen=True, kw_only=True)
class Ranged:
    order: Annotated[int, annotated_types.Ge(0), annotated_types.Le(4)] = 1


def ranged():
    origin = Origin(entry_point="p", distribution="d", version="1")
    return Plugin(kind="subtract", name="ranged", factory=Ranged, origin=origin)


def test_the_installed_built_ins_arrive_through_entry_points():
    registry = discover()
    assert not registry.broken
    assert {"al"} <= set(registry.names("subtract"))
    assert registry.get("subtract", "al").origin.distribution == "streamdiff"


def test_a_plugin_is_found_by_kind_and_name(package):
    registry = discover(found=[package("good_plugin", HEADER + GOOD)])
    assert registry.names("subtract") == ("nothing",)
    assert registry.get("subtract", "nothing").build({"gain": 2}).gain == 2


def test_a_package_that_raises_on_import_is_reported_and_the_others_load(package):
    registry = discover(
        found=[
            package("a_broken_plugin", "raise RuntimeError('no licence')"),
            package("good_plugin", HEADER + GOOD),
        ]
    )
    assert registry.names("subtract") == ("nothing",)
    (broken,) = registry.broken
    assert "RuntimeError: no licence" in str(broken)
    assert "a_broken_plugin" in broken.traceback
    with pytest.raises(PluginError, match="no licence"):
        registry.get("subtract", "theirs")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (GOOD.replace("subtractors", "subtractorz"), "did you mean streamdiff_subtr"),
        (f"STREAMDIFF_API_VERSION = {API_VERSION + 1}", "install a release that fits"),
        (GOOD.replace("Nothing}", "1 / 0}"), "ZeroDivisionError"),
        (GOOD.replace("Nothing}", "lambda *a: a}"), "can not be an option"),
    ],
)
def test_a_plugin_that_breaks_the_contract_says_which_part(package, source, message):
    registry = discover(found=[package("odd_plugin", HEADER + source)])
    assert message in str(registry.broken[0])
    assert not registry.plugins


def test_two_plugins_of_one_name_are_refused(package):
    points = [package(name, HEADER + GOOD) for name in ("first_one", "second_one")]
    with pytest.raises(
        PluginError, match=r"two packages offer plugins\.subtract\.nothing"
    ):
        discover(found=points)


def test_a_disabled_distribution_is_left_out():
    assert not discover(disabled=["streamdiff"]).plugins


def test_an_unknown_name_is_answered_with_the_closest():
    with pytest.raises(PluginError, match="did you mean 'score_peaks'"):
        discover().get("find", "score_peak")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 7}, r"\[plugins.subtract.ranged\] order: .*equal to 4, got 7"),
        ({"ordr": 1}, "ordr: there is no such key"),
        ({"order": "many"}, "got 'many'"),
    ],
)
def test_a_bad_option_names_plugin_key_value_and_range(options, message):
    with pytest.raises(ConfigError, match=message):
        ranged().build(options)


@dataclass(frozen=True, kw_only=True)
class Model:
    path: str = "no/such/model"

    def __post_init__(self):
        raise FileNotFoundError(self.path)


@dataclass(frozen=True, kw_only=True)
class Shapeless:
    """A measurer that does not say which columns it fills."""

    def measure(self, sources, images):
        return {}


@pytest.mark.parametrize(
    ("kind", "factory", "message"),
    [
        (
            "score",
            Model,
            r"\[plugins.score.odd\] can not be made: FileNotFoundError: no/",
        ),
        ("subtract", Ranged, r"of d has no subtract: see streamdiff.stages.Subtractor"),
        ("measure", Shapeless, r"of d has no columns: see .*\.Measurer"),
    ],
)
def test_a_plugin_that_can_not_work_is_refused_when_it_is_built(kind, factory, message):
    origin = Origin(entry_point="p", distribution="d", version="1")
    plugin = Plugin(kind=kind, name="odd", factory=factory, origin=origin)
    with pytest.raises(PluginError, match=message):
        plugin.build({})


def test_every_kind_has_a_documented_hook():
    for hook in KINDS.values():
        assert getattr(hookspecs, hook).__doc__
