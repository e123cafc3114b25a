"""The suite finds what is wrong with bad plugins, and says so; a good one passes."""

import importlib
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from streamdiff.plugins import Origin, Plugin
from streamdiff.testing.contract import ContractError, Subject, Verdict, checks, run

FOLDER = Path(__file__).parents[1] / "third_party" / "bad_subtractors"
ORIGIN = Origin(entry_point="bad", distribution="bad-subtractors", version="1.2")


@pytest.fixture(scope="module")
def bad():
    """Return the module of bad plugins."""
    sys.path.insert(0, str(FOLDER))
    module = importlib.import_module("bad_subtractors")
    yield module
    module.released.set()
    for file in module.kept:
        getattr(file, "close", lambda: None)()
    sys.path.remove(str(FOLDER))
    sys.modules.pop("bad_subtractors")


@pytest.fixture(scope="module")
def elsewhere(bad):
    """Return how a function is called in another process, one for all tests."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield lambda function, *arguments: pool.submit(function, *arguments).result()


@pytest.fixture
def subject(bad, elsewhere):
    """Return what is to be checked, by the name of its factory."""

    def made(name):
        factory = getattr(bad, name)
        plugin = Plugin(kind="subtract", name=name, factory=factory, origin=ORIGIN)
        return Subject(plugin=plugin, elsewhere=elsewhere)

    return made


BROKEN = [
    ("Raises", "results_are_what", "a result, a Skip, or an error.*KeyError: 'sigma'"),
    ("ReturnsNothing", "results_are_what", "expected Difference.*got NoneType"),
    ("ReturnsPart", "results_are_what", r"shape \(160, 160\).*got shape \(159, 160\)"),
    ("ReturnsOther", "results_are_what", "SimCam/7/0/r.*got SimCam/8/0/r"),
    ("ReturnsNan", "results_are_what", "a finite image.*row 0, column 0"),
    ("ReturnsNegativeVariance", "results_are_what", "finite and positive.*25600 pix"),
    ("ReturnsHalfPsf", "results_are_what", "sum to 1.*got 0.500000 at"),
    ("WritesThroughPlane", "inputs_are_left", "got changed: Exposure"),
    ("ReplacesPlane", "inputs_are_left", "'standard'; got changed: Exposure"),
    ("MovesWcs", "inputs_are_left", "got changed: Exposure"),
    ("Prints", "nothing_else", "log with structlog.*got printed 'kernel sum"),
    ("LeavesFile", "nothing_else", "got left 1 files open"),
    ("LeavesThread", "nothing_else", "left threads running: mine"),
    ("FiltersWarnings", "nothing_else", "changed the warning filters"),
    ("RollsDice", "equal_inputs", "bit for bit.*seed random numbers"),
    ("CanNotBePickled", "it_can_be_pickled", "TypeError: holds a lock"),
    ("DependsOnHashes", "another_process", "order of a set, or on a cache"),
    ("SharesState", "threads_do_not", "an instance keeps nothing of a call"),
    ("Remembers", "memory_does_not_grow", "got 78[0-9] KiB more after each call"),
    ("ForgetsVariance", "the_variance_predicts", r"of 1 in blank sky; got 1\.4"),
    ("LosesFlux", "a_change_keeps_its_flux", "a flux of 30000 .*got 24"),
    ("anything_goes", "every_option_has_a_type", "a type annotation of the option ord"),
    ("anything_goes", "an_option_of_another_type", "a ConfigError for order = "),
]


@pytest.mark.parametrize(("name", "rule", "message"), BROKEN)
def test_a_broken_rule_says_what_was_expected_what_came_and_where_to_read(
    subject, name, rule, message
):
    (check,) = (c for c in checks("subtract") if c.name.startswith(rule))
    with pytest.raises(ContractError) as caught:
        check(subject(name))
    assert re.search(message, str(caught.value), re.DOTALL), str(caught.value)
    assert caught.value.read.startswith(("streamdiff.", "numpydoc"))


def test_a_good_plugin_keeps_all_rules(subject):
    results = list(run(subject("Good")))
    assert len(results) == len(checks("subtract"))
    assert [str(r.error) for r in results if r.verdict is Verdict.BROKEN] == []
