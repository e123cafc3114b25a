"""Bad plugins at the border: named with stage and version, harmless to the next."""

import importlib
import os
import random
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from streamdiff.errors import (
    ChangedInputError,
    PluginContractError,
    PluginFailedError,
    StreamdiffError,
)
from streamdiff.pipeline.results import checked_difference
from streamdiff.pipeline.stage import StageCalls
from streamdiff.testing import Scene

FOLDER = Path(__file__).parents[1] / "third_party" / "bad_subtractors"
LABEL = "bad bad-subtractors 1.2"


@pytest.fixture
def bad(monkeypatch):
    """Return the module of bad plugins; what is left of them goes with the test."""
    monkeypatch.syspath_prepend(FOLDER)
    module = importlib.import_module("bad_subtractors")
    yield module
    module.released.set()
    for file in module.kept:
        getattr(file, "close", lambda: None)()
    sys.modules.pop("bad_subtractors")


@pytest.fixture
def pair():
    sky = Scene(shape=(40, 50))
    return sky.observe(seed=1, visit=7), sky.observe(seed=2)


def subtracted(plugin, pair):
    """Return what the pipeline makes of a subtractor, and its remarks."""
    calls = StageCalls(
        monotonic=lambda: 0.0, names={"subtract": "bad"}, labels={"subtract": LABEL}
    )
    result = calls("subtract", plugin.subtract, *pair)
    with calls.judging("subtract") as label:
        return checked_difference(label, pair[0], result), calls.remarks


WHO = f"subtract plugin '{LABEL}'"
FAILED = [
    ("Raises", PluginFailedError, f"{WHO}: KeyError: 'sigma' (misbehave, line "),
    ("Exits", PluginFailedError, f"{WHO}: SystemExit: 3 (misbehave, line "),
    (
        "WritesThroughPlane",
        ChangedInputError,
        f"{WHO} changed its inputs: Exposure.image",
    ),
    (
        "ReplacesPlane",
        ChangedInputError,
        f"{WHO} changed its inputs: Exposure.variance",
    ),
    ("MovesWcs", ChangedInputError, f"{WHO} changed its inputs: Exposure.wcs.crpix"),
    ("ReturnsNothing", PluginContractError, "returned NoneType, not Difference"),
    ("ReturnsExposure", PluginContractError, "returned Exposure, not Difference"),
    ("ReturnsPart", PluginContractError, "with shape (39, 50)"),
    ("ReturnsOther", PluginContractError, "a difference of SimCam/8/0/r"),
    ("ReturnsNan", PluginContractError, "returned 40 pixels of SimCam/7/0/r that are"),
    ("ReturnsNegativeVariance", PluginContractError, "variance is negative or NaN"),
    ("ReturnsHalfPsf", PluginContractError, "returned a PSF that sums to 0.5, not 1"),
]
LEFT_TRACES = [
    ("Prints", "printed 'kernel sum 1.0"),
    ("FiltersWarnings", "changed the warning filters"),
    ("SeedsNumpy", "changed numpy's global random numbers"),
    ("UsesRandom", "changed Python's global random numbers"),
    ("SetsErrorState", "changed numpy's error state"),
    ("HandlesSignals", "changed the signal handlers"),
    ("SetsVariables", "changed the environment"),
    ("ChangesFolder", "changed the working directory"),
    ("ConfiguresLogging", "changed the logging of the process"),
    ("ReplacesStdout", "replaced sys.stdout"),
    ("LeavesThread", "left threads running: mine"),
]


@pytest.mark.parametrize(("name", "error", "message"), FAILED)
def test_a_plugin_that_fails_is_named_with_stage_and_version(
    bad, pair, name, error, message
):
    with pytest.raises(error) as caught:
        subtracted(getattr(bad, name)(), pair)
    assert message in str(caught.value)
    assert LABEL in str(caught.value)
    assert (caught.value.stage, caught.value.plugin) == ("subtract", "bad")


@pytest.mark.parametrize(("name", "effect"), LEFT_TRACES)
def test_a_plugin_that_leaves_traces_is_named_and_its_result_is_good(
    bad, pair, name, effect, capsys
):
    difference, remarks = subtracted(getattr(bad, name)(), pair)
    assert difference.shape == (40, 50)
    (remark,) = remarks
    assert remark.startswith(f"{WHO} {effect}")
    assert "kernel sum 1.0" not in capsys.readouterr().out.splitlines()


def state():
    return (
        list(warnings.filters),
        np.geterr(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        random.getstate(),
        signal.getsignal(signal.SIGUSR1),
        dict(os.environ),
        Path.cwd(),
        sys.stdout,
    )


def test_the_next_plugin_finds_the_process_as_it_was(bad, pair):
    before = state()
    alone, remarks = subtracted(bad.Good(), pair)
    assert not remarks
    for name, *_ in [*FAILED, *LEFT_TRACES]:
        if name in {"WritesThroughPlane", "ReplacesPlane", "MovesWcs"}:
            continue
        try:
            subtracted(getattr(bad, name)(), pair)
        except StreamdiffError as err:
            assert err.stage == "subtract"  # noqa: PT017 - it fails on purpose
        assert state() == before, name
    after, remarks = subtracted(bad.Good(), pair)
    assert not remarks
    np.testing.assert_array_equal(after.image, alone.image)


def test_what_the_user_interrupts_is_no_failure_of_a_plugin():
    def interrupted():
        raise KeyboardInterrupt

    calls = StageCalls(monotonic=lambda: 0.0, names={"subtract": "bad"})
    with pytest.raises(KeyboardInterrupt):
        calls("subtract", interrupted)
