"""The visit pipeline with stages of a few lines: order, outcomes, contracts."""

from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime

import numpy as np
import pytest

from streamdiff.adapters.catalogue import SqlCatalogue
from streamdiff.errors import (
    PluginContractError,
    PluginFailedError,
    RetryableError,
    SubtractionError,
)
from streamdiff.model import (
    DETECTION_COLUMNS,
    Column,
    ConstantPsf,
    Convolved,
    DiaSources,
    Difference,
    FluxScale,
    MaskPlane,
    Noise,
    Outcome,
    Provenance,
    Reason,
    Skip,
    StarList,
    Template,
    TemplateUse,
    UnknownPsf,
    VisitReady,
)
from streamdiff.pipeline.association import Association
from streamdiff.pipeline.compare import Comparison
from streamdiff.pipeline.exposures import ExposureSource
from streamdiff.pipeline.filters import Filters
from streamdiff.pipeline.gate import BadDifferenceError, ResidualGate
from streamdiff.pipeline.inject import Injection
from streamdiff.pipeline.match_stars import StarMatching
from streamdiff.pipeline.search import Search
from streamdiff.pipeline.sky_sources import SkySources
from streamdiff.pipeline.visit import VisitPipeline
from streamdiff.stages import Registration
from streamdiff.testing import PointSource, Scene
from streamdiff_association.nearest import Nearest

SHAPE = (64, 80)
SCENE = Scene(sources=(PointSource(20, 30, 4e3),), shape=SHAPE)
SCIENCE = SCENE.add(PointSource(50, 40, 5e3)).observe(fwhm=3, noise=10, seed=2, visit=7)
TEMPLATE = SCENE.observe(fwhm=3, noise=10, seed=1)
EVENT = VisitReady(
    event_id="e1",
    instrument=SCIENCE.id.instrument,
    visit=7,
    detector=SCIENCE.id.detector,
    band=SCIENCE.id.band,
    midpoint_mjd_tai=61000.0,
    exposure_time_s=30.0,
    image_uri="memory://7.fits",
    published_at=datetime(2026, 11, 20, tzinfo=UTC),
)
NAMES = {kind: f"my_{kind}" for kind in ("read", "psf", "subtract", "find", "score")}


@dataclass(frozen=True)
class Returns:
    """A plugin whose one method returns, or raises, what it is told."""

    result: object

    def _answer(self, *_, **__):
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    read = estimate = subtract = decorrelate = find = score = cover = register = _answer


def subtracted(**changes):
    plain = Difference(
        id=SCIENCE.id,
        image=2 * (SCIENCE.image - TEMPLATE.image),
        variance=4 * (SCIENCE.variance + TEMPLATE.variance),
        mask=SCIENCE.mask,
        psf=SCIENCE.psf,
        wcs=SCIENCE.wcs,
        flux_scale=FluxScale.SCIENCE,
        kernel_sum=2.0,
        convolved=Convolved.NONE,
        noise=Noise.WHITE,
    )
    return replace(plain, **changes)


class BrightestPixel:
    def find(self, difference):
        y, x = np.unravel_index(difference.image.argmax(), difference.shape)
        values = {c.name: [1] for c in DETECTION_COLUMNS} | {"x": [x], "y": [y]}
        return difference, DiaSources(DETECTION_COLUMNS, values)


class Peak:
    columns = (Column("psfFlux", "f4", "nJy", "Value of the peak pixel"),)

    def measure(self, sources, images):
        row, column = sources["y"].astype(int), sources["x"].astype(int)
        return {"psfFlux": images.difference.image[row, column]}


def pipeline(science=SCIENCE, template=None, **stages):
    template = template or Template(
        exposure=TEMPLATE,
        coverage=0.9,
        uses=(TemplateUse(template_id="deep/1/2/r", version=3, fraction=0.9),),
    )
    chosen = {
        "subtract": Returns(subtracted()),
        "min_template_coverage": 0.5,
        "flux_scale": FluxScale.TEMPLATE,
        "provenance": Provenance(config_hash="c0ffee"),
    }
    searched = {"find": BrightestPixel(), "measure": {"peak": Peak()}}
    searched |= {f.name: stages.pop(f.name) for f in fields(Search) if f.name in stages}
    return VisitPipeline(
        exposures=ExposureSource(
            reader=Returns(science),
            estimator=stages.pop("psf", Returns(SCIENCE.psf)),
            files=None,
        ),
        templates=Returns(template),
        comparison=Comparison(search=Search(**searched), **(chosen | stages)),
        plugin_names=NAMES,
        monotonic=lambda: 0.0,
    )


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


@pytest.fixture
def associating(tmp_path):
    """Return a pipeline with a catalogue, and how many DiaSources that has."""
    catalogue = SqlCatalogue(f"sqlite:///{tmp_path}/catalogue.db")
    association = Association(catalogue=catalogue, associator=Nearest())

    def make(**stages):
        return replace(pipeline(**stages), association=association)

    def n_sources():
        with catalogue.session(EVENT, np.zeros(0, int)) as session:
            return len(session.forget())

    yield make, n_sources
    catalogue.close()


def test_alerts_have_their_dia_object_and_the_table_its_id(associating):
    make, _ = associating
    first = make()(EVENT)
    later = replace(EVENT, visit=8, midpoint_mjd_tai=61001.0)
    result = make(
        science=replace(SCIENCE, id=later.exposure_id),
        subtract=Returns(subtracted(id=later.exposure_id)),
    )(later)
    (alert,) = result.alerts
    dia_object_id = alert.dia_source["diaObjectId"]
    assert dia_object_id == first.alerts[0].dia_source["diaObjectId"] > 0
    assert result.products.sources["diaObjectId"].tolist() == [dia_object_id]
    assert alert.dia_object["nDiaSources"] == 2
    assert [row["visit"] for row in alert.prv_dia_sources] == [7]
    assert [row["visit"] for row in alert.prv_dia_forced_sources] == []
    assert result.metrics["n_forced_sources"] == 1


def test_only_what_is_kept_is_associated(associating):
    make, n_sources = associating
    result = make(filters=Filters(bad_flags=("isNegative",)))(EVENT)
    assert result.n_filtered == {"bad_flag": 1}
    assert n_sources() == 0


def test_a_visit_that_is_skipped_when_run_again_leaves_nothing(associating):
    make, n_sources = associating
    make()(EVENT)
    assert make(subtract=Returns(Skip(Reason.NO_OVERLAP)))(EVENT).alerts == ()
    assert n_sources() == 0


def test_a_visit_that_fails_when_run_again_leaves_nothing(associating):
    make, n_sources = associating
    make()(EVENT)
    with pytest.raises(SubtractionError):
        make(subtract=Returns(SubtractionError("no")))(EVENT)
    assert n_sources() == 0


def test_a_visit_that_is_to_be_tried_again_keeps_what_is_there(associating):
    make, n_sources = associating
    make()(EVENT)
    with pytest.raises(RetryableError):
        make(subtract=Returns(RetryableError("later")))(EVENT)
    assert n_sources() == 1


def test_injected_sources_are_no_part_of_the_catalogue(associating):
    make, n_sources = associating
    injecting = replace(make(), injection=Injection(fraction=1.0, n=5))
    injecting(EVENT)
    assert n_sources() == 1


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


def test_injected_sources_leave_the_alerts_as_they_are():
    plain = pipeline()(EVENT)
    result = replace(pipeline(), injection=Injection(n=3))(EVENT)
    assert [a.dia_source for a in result.alerts] == [a.dia_source for a in plain.alerts]
    assert result.recovery.x.size == result.metrics["n_injected"] == 3
    assert set(result.stage_seconds) == {*plain.stage_seconds, "inject"}
    assert plain.recovery is None


def test_visits_without_injected_sources_are_compared_once():
    never = Injection(fraction=0.0)
    result = replace(pipeline(), injection=never)(EVENT)
    assert result.recovery is None
    assert "n_injected" not in result.metrics


class OnlyOnce:
    """A subtractor that fails from the second time on."""

    calls = 0

    def subtract(self, science, template):
        self.calls += 1
        if self.calls > 1:
            raise SubtractionError("no more")
        return subtracted()


def test_a_failure_with_injected_sources_is_none_of_the_visit():
    injecting = replace(pipeline(subtract=OnlyOnce()), injection=Injection(n=3))
    result = injecting(EVENT)
    assert result.outcome is Outcome.PROCESSED
    assert len(result.alerts) == 1
    assert result.recovery is None


def test_what_a_rule_drops_is_counted_and_no_alert():
    result = pipeline(score=Returns([0.3]), filters=Filters(min_reliability=0.5))(EVENT)
    assert result.outcome is Outcome.PROCESSED
    assert not result.alerts
    assert not len(result.products.sources)
    assert result.n_filtered == {"unreliable": 1}
    assert result.products.filtered["filterReason"].tolist() == ["unreliable"]


def test_an_id_does_not_depend_on_what_is_dropped():
    class Both:
        def find(self, difference):
            values = {c.name: [1, 1] for c in DETECTION_COLUMNS}
            values |= {"x": [20, 50], "y": [30, 40]}
            return difference, DiaSources(DETECTION_COLUMNS, values)

    kept = pipeline(find=Both(), score=Returns([0.3, 0.7]))(EVENT).alerts[1]
    rules = Filters(min_reliability=0.5)
    result = pipeline(find=Both(), score=Returns([0.3, 0.7]), filters=rules)(EVENT)
    (alert,) = result.alerts
    assert alert.dia_source == kept.dia_source
    assert (
        alert.dia_source["diaSourceId"] not in result.products.filtered["diaSourceId"]
    )


def test_sky_sources_are_measured_and_kept_out_of_alerts():
    result = pipeline(sky_sources=SkySources(n=3, radius=2.0))(EVENT)
    assert len(result.alerts) == 1
    assert result.n_filtered == {"sky_source": 3}
    assert result.metrics["n_sky_sources"] == 3
    sky = result.products.filtered
    assert np.isfinite(sky["psfFlux"]).all()
    assert sky["diaSourceId"].tolist() == [0, 0, 0]


def test_dia_sources_beside_stars_of_the_catalogue_are_counted():
    stars = StarList(x=[20.0, 51.0], y=[30.0, 40.0], flux=[2.0, 1.0], snr=[9.0, 9.0])
    science = replace(SCIENCE, stars=stars)
    # 1 px is 0.2 arcsec.
    result = pipeline(science, match=StarMatching(radius_arcsec=0.3))(EVENT)
    assert result.products.sources["refMatchId"].tolist() == [2]
    assert result.metrics["n_false_positives_ref_associated"] == 1


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


class Allowing:
    """A scorer that asks a service which DiaSources may be told of."""

    def __init__(self, allowed):
        self.allowed = allowed

    def score(self, sources, images):
        if isinstance(self.allowed, Exception):
            raise self.allowed
        return np.isin(np.arange(len(sources)), self.allowed).astype(float)


class Row:
    """A source finder that finds 20 in a row."""

    def find(self, difference):
        values = {c.name: np.ones(20) for c in DETECTION_COLUMNS}
        return difference, DiaSources(
            DETECTION_COLUMNS, values | {"x": 3.0 * np.arange(20)}
        )


@pytest.mark.parametrize("allowed", [[1, 5], []])
def test_an_allow_list_is_a_scorer(allowed):  # E18
    rules = Filters(min_reliability=1.0)
    result = pipeline(find=Row(), score=Allowing(allowed), filters=rules)(EVENT)
    assert [alert.dia_source["x"] for alert in result.alerts] == [
        3.0 * n for n in allowed
    ]
    assert result.n_filtered == {"unreliable": 20 - len(allowed)}


def test_an_allow_list_that_does_not_answer_is_asked_again():  # E18
    gone = RetryableError("HTTP 500")
    with pytest.raises(RetryableError, match="HTTP 500"):
        pipeline(find=Row(), score=Allowing(gone))(EVENT)
