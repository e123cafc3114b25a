"""The order of a visit's stages, its outcomes, and what its plugins owe it."""

from dataclasses import replace

import numpy as np
import pytest
from small_stages import EVENT, SCIENCE, SHAPE, TEMPLATE, Returns, pipeline, subtracted

from streamdiff.errors import PluginContractError, PluginFailedError, SubtractionError
from streamdiff.model import (
    DETECTION_COLUMNS,
    ConstantPsf,
    DiaSources,
    MaskPlane,
    Outcome,
    Reason,
    Skip,
    Template,
    UnknownPsf,
)
from streamdiff.pipeline.gate import BadDifferenceError, ResidualGate
from streamdiff.stages import Registration


def test_what_changed_becomes_an_alert_on_the_templates_scale():
    result = pipeline()(EVENT)
    assert result.outcome is Outcome.PROCESSED
    (alert,) = result.alerts
    assert (alert.dia_source["x"], alert.dia_source["y"]) == (50, 40)
    # the subtractor delivered twice the change, on the scale of the science image
    peak = (SCIENCE.image - TEMPLATE.image)[40, 50]
    assert alert.dia_source["psfFlux"] == pytest.approx(peak, rel=1e-6)
    assert alert.templates == result.templates
    assert alert.provenance.config_hash == "c0ffee"
    assert {"read", "template", "subtract", "find"} <= set(result.stage_seconds)


class Prints:
    def subtract(self, science, template):
        print("done")  # noqa: T201
        return subtracted()


def test_a_visit_tells_what_a_plugin_did_that_it_may_not():
    result = pipeline(subtract=Prints())(EVENT)
    assert result.outcome is Outcome.PROCESSED
    assert result.detail == "subtract plugin 'my_subtract' printed 'done\\n'"
    assert pipeline()(EVENT).detail is None


def test_the_table_of_a_visit_has_the_ids_of_its_alerts():
    result = pipeline()(EVENT)
    ids = [alert.dia_source["diaSourceId"] for alert in result.alerts]
    assert result.products.sources["diaSourceId"].tolist() == ids


@pytest.mark.parametrize(
    ("stages", "reason"),
    [
        ({"template": Skip(Reason.NO_TEMPLATE)}, Reason.NO_TEMPLATE),
        (
            {"template": Template(exposure=TEMPLATE, coverage=0.4)},
            Reason.INSUFFICIENT_TEMPLATE_COVERAGE,
        ),
        (
            {"subtract": Returns(Skip(Reason.INSUFFICIENT_KERNEL_SOURCES))},
            Reason.INSUFFICIENT_KERNEL_SOURCES,
        ),
        (
            {
                "science": replace(
                    SCIENCE, mask=np.full(SHAPE, MaskPlane.NO_DATA, np.int32)
                )
            },
            Reason.NO_VALID_PIXELS,
        ),
    ],
)
def test_nothing_to_do_is_an_outcome_with_a_reason(stages, reason):
    result = pipeline(**stages)(EVENT)
    assert (result.outcome, result.reason) == (Outcome.SKIPPED, reason)
    assert not result.alerts


def test_a_psf_is_estimated_only_where_there_is_none():
    never = Returns(AssertionError("estimated"))
    pipeline(psf=never)(EVENT)
    unknown = SCIENCE.with_psf(UnknownPsf())
    result = pipeline(science=unknown)(EVENT)
    assert result.products.images.science.psf is SCIENCE.psf


def test_more_dia_sources_than_ids_break_the_contract():
    too_many = (1 << 14) + 1
    values = {c.name: np.ones(too_many) for c in DETECTION_COLUMNS}
    found = Returns((subtracted(), DiaSources(DETECTION_COLUMNS, values)))
    with pytest.raises(PluginContractError, match=r"16385 DiaSources of .* 16384"):
        pipeline(find=found)(EVENT)


def test_a_visit_without_a_change_has_no_alert():
    nothing = Returns((subtracted(), DiaSources.empty()))
    result = pipeline(find=nothing)(EVENT)
    assert result.outcome is Outcome.PROCESSED
    assert not result.alerts


def test_registration_moves_the_template_and_is_reported():
    offsets = {"offset_x_pixel": 0.5}
    registrar = Returns(Registration(wcs=SCIENCE.wcs, metrics=offsets))
    assert pipeline(register=registrar)(EVENT).metrics["offset_x_pixel"] == 0.5


def test_decorrelation_and_reliability_join_in_when_they_are_chosen():
    white = subtracted(image=np.zeros(SHAPE), psf=ConstantPsf(np.ones((3, 3))))
    result = pipeline(decorrelate=Returns(white), score=Returns([0.7]))(EVENT)
    assert not result.products.images.difference.image.any()
    assert result.alerts[0].dia_source["reliability"] == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("stages", "error", "message"),
    [
        ({"subtract": Returns(None)}, PluginContractError, "my_subtract.*NoneType"),
        (
            {"subtract": Returns(subtracted(id=TEMPLATE.id))},
            PluginContractError,
            "difference of",
        ),
        ({"register": Returns(None)}, PluginContractError, "not Registration"),
        ({"find": Returns([])}, PluginContractError, "my_find"),
        ({"science": TEMPLATE}, PluginContractError, "the reader returned"),
        ({"score": Returns([1, 2])}, PluginContractError, "my_score"),
        ({"subtract": Returns(KeyError("k"))}, PluginFailedError, "my_subtract"),
        ({"subtract": Returns(SubtractionError("s"))}, SubtractionError, "s"),
    ],
)
def test_a_plugin_that_fails_or_cheats_is_named(stages, error, message):
    with pytest.raises(error, match=message):
        pipeline(**stages)(EVENT)


def test_a_psf_estimator_must_return_a_psf():
    unknown = SCIENCE.with_psf(UnknownPsf())
    with pytest.raises(PluginContractError, match="my_psf"):
        pipeline(science=unknown, psf=Returns(3))(EVENT)


def test_a_difference_that_leaves_too_much_fails_with_what_is_known():
    strict = ResidualGate(max_mean=1e-6, min_stars=1)
    with pytest.raises(BadDifferenceError, match="leaves too much of stars") as error:
        pipeline(gate=strict)(EVENT)
    assert error.value.reason == Reason.BAD_SUBTRACTION
    partial = error.value.result
    assert (partial.outcome, partial.alerts) == (Outcome.FAILED, ())
    assert partial.products.images.difference.shape == SHAPE
    assert partial.templates[0].version == 3
    figures = {"difference_footprint_ratio_mean", "template_coverage"}
    assert figures <= set(error.value.metrics)
    assert error.value.metrics == partial.metrics


def test_what_was_measured_before_a_failure_is_told():
    with pytest.raises(SubtractionError) as error:
        pipeline(find=Returns(SubtractionError("s")))(EVENT)
    assert error.value.metrics["template_coverage"] == 0.9


@pytest.mark.parametrize(
    ("mean", "stdev", "n", "is_bad"),
    [
        (0.3, 0.1, 30, True),
        (0.1, 0.5, 30, True),
        (0.1, 0.1, 30, False),
        # one of a few stars may have changed
        (0.9, 0.9, 9, False),
    ],
)
def test_residuals_of_enough_stars_condemn_a_difference(mean, stdev, n, is_bad):
    metrics = {
        "difference_footprint_ratio_mean": mean,
        "difference_footprint_ratio_stdev": stdev,
        "n_residual_stars": n,
    }
    gate = ResidualGate(max_mean=0.2, max_stdev=0.4)
    assert bool(gate.problem(subtracted(metrics=metrics))) is is_bad
    assert not gate.problem(subtracted())
