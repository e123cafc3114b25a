import re
from dataclasses import replace

import numpy as np
import pytest

from streamdiff.errors import (
    PluginContractError,
    PluginFailedError,
    StoreUnavailableError,
)
from streamdiff.model import Coadd, Column, DiaSources, TemplateId
from streamdiff.pipeline.results import (
    checked_coadd,
    checked_detections,
    checked_registration,
    checked_warp,
    with_measured,
)
from streamdiff.pipeline.stage import StageCalls
from streamdiff.stages import Registration
from streamdiff.testing import Scene


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


WARP = Scene(shape=(20, 30)).observe()
TEMPLATE_ID = TemplateId(tract=1, patch=2, band="r")


@pytest.mark.parametrize("found", [None, WARP.wcs, (WARP.wcs, {})])
def test_a_registrar_that_returns_something_else_breaks_the_contract(found):
    with pytest.raises(PluginContractError, match=r"returned .*, not Registration"):
        checked_registration("mine", found)


@pytest.mark.parametrize(
    ("warp", "message"),
    [
        (None, "returned NoneType, not Exposure"),
        (WARP, r"shape \(20, 30\); \(30, 20\) was asked for"),
    ],
)
def test_a_warper_must_return_the_shape_that_was_asked_for(warp, message):
    with pytest.raises(PluginContractError, match=message):
        checked_warp("mine", warp, (30, 20))


@pytest.mark.parametrize(
    ("coadd", "message"),
    [
        (WARP, "returned Exposure, not Coadd or Skip"),
        (
            Coadd(exposure=WARP, n_image=np.ones((20, 30), np.int32), inputs=()),
            f"returned a coadd of {WARP.id}; {TEMPLATE_ID} was asked for",
        ),
    ],
)
def test_a_coadder_must_return_the_template_that_was_asked_for(coadd, message):
    with pytest.raises(PluginContractError, match=re.escape(message)):
        checked_coadd("mine", TEMPLATE_ID, coadd)


def test_what_keeps_the_contract_passes():
    exposure = replace(WARP, id=TEMPLATE_ID)
    coadd = Coadd(exposure=exposure, n_image=np.ones((20, 30), np.int32), inputs=())
    registration = Registration(wcs=WARP.wcs, metrics={})
    assert checked_coadd("mine", TEMPLATE_ID, coadd) is coadd
    assert checked_warp("mine", WARP, WARP.shape) is WARP
    assert checked_registration("mine", registration) is registration
