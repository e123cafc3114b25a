import pytest

from streamdiff.errors import (
    PluginContractError,
    PluginFailedError,
    StoreUnavailableError,
)
from streamdiff.model import Column, DiaSources
from streamdiff.pipeline.stage import StageCalls, checked_detections, with_measured


def ticking():
    """Return a clock that advances by one second at each look."""
    seconds = iter(range(100))
    return lambda: next(seconds)


@pytest.fixture
def calls():
    return StageCalls(monotonic=ticking(), names={"subtract": "mine"})


def test_the_time_of_a_stage_adds_up_over_its_calls(calls):
    assert calls("subtract", max, 1, 2) == 2
    calls("subtract", max, 1, 2)
    assert calls.seconds == {"subtract": 2.0}


def test_an_error_of_a_plugin_names_stage_plugin_and_place(calls):
    def divide():
        return 1 / 0

    with pytest.raises(PluginFailedError, match="subtract plugin 'mine': ZeroDiv") as e:
        calls("subtract", divide)
    assert (e.value.stage, e.value.plugin) == ("subtract", "mine")
    assert "divide, line" in str(e.value)
    assert isinstance(e.value.__cause__, ZeroDivisionError)


def test_an_error_on_purpose_passes_and_is_marked(calls):
    def fail():
        raise StoreUnavailableError("no answer")

    with pytest.raises(StoreUnavailableError, match="no answer") as caught:
        calls("subtract", fail)
    assert caught.value.plugin == "mine"
    assert calls.seconds


@pytest.mark.parametrize("found", [None, (1, 2), DiaSources.empty()])
def test_a_finder_that_returns_something_else_breaks_the_contract(found):
    with pytest.raises(PluginContractError, match=r"not \(Difference, DiaSources\)"):
        checked_detections("mine", found)


@pytest.mark.parametrize("values", [{}, {"a": [1]}, {"a": None}, {"b": []}])
def test_measured_values_must_fit_rows_and_columns(values):
    column = Column("a", "f4", "", "")
    with pytest.raises(PluginContractError, match="plugin 'mine', 0 DiaSources"):
        with_measured("mine", DiaSources.empty(), (column,), values)
