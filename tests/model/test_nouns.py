from datetime import UTC, datetime

import numpy as np
import pytest
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

from streamdiff import errors
from streamdiff.errors import InvalidExposureError, UnprocessableError
from streamdiff.model import (
    Coadd,
    Column,
    ConstantPsf,
    Convolved,
    DiaSources,
    Difference,
    Exposure,
    ExposureId,
    FluxScale,
    MaskPlane,
    MatchingKernel,
    Noise,
    Outcome,
    Reason,
    Skip,
    TemplateId,
    TemplateUpdate,
    VisitProcessed,
    VisitReady,
    dia_source_ids,
)
from streamdiff.model.events import Action
from streamdiff.model.field import field_order, field_terms, n_field_terms

SHAPE = (20, 30)
ID = ExposureId(instrument="SimCam", visit=7, detector=3, band="r")
NOW = datetime(2026, 11, 20, tzinfo=UTC)


def tan_wcs():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cdelt = [-5e-5, 5e-5]
    return wcs


def planes():
    return {
        "image": np.ones(SHAPE, "f8"),
        "variance": np.full(SHAPE, 4.0),
        "mask": np.zeros(SHAPE, "i4"),
    }


def exposure(**changes):
    return Exposure(**({"id": ID, "wcs": tan_wcs()} | planes() | changes))


def difference(**changes):
    chosen = {
        "id": ID,
        "psf": ConstantPsf(np.ones((3, 3))),
        "wcs": tan_wcs(),
        "flux_scale": FluxScale.SCIENCE,
        "kernel_sum": 2.0,
        "convolved": Convolved.TEMPLATE,
        "noise": Noise.CORRELATED,
    }
    return Difference(**(chosen | planes() | changes))


def visit_ready(**changes):
    chosen = {
        "event_id": "e1",
        "instrument": "SimCam",
        "visit": 7,
        "detector": 3,
        "band": "r",
        "midpoint_mjd_tai": 61000.0,
        "exposure_time_s": 30.0,
        "image_uri": "file:///data/7.fits",
        "published_at": NOW,
    }
    return VisitReady(**(chosen | changes))


def test_planes_are_read_only_views_of_float32():
    image = np.zeros(SHAPE, np.float32)
    made = exposure(image=image)
    assert np.shares_memory(made.image, image)
    assert made.variance.dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        made.image[0, 0] = 1
    image[0, 0] = 1  # the owner of the array still may


@pytest.mark.parametrize(
    "changes",
    [
        {"mask": np.zeros((2, 2), "i4")},
        {"image": np.zeros(5), "variance": np.zeros(5), "mask": np.zeros(5, "i4")},
        {"wcs": WCS(naxis=2)},
        {"covariance_factor": 0.0},
        {"covariance_factor": np.ones((2, 2))},
        {"covariance_factor": np.full(SHAPE, np.nan)},
    ],
)
def test_an_exposure_that_breaks_a_rule_is_refused_by_name(changes):
    with pytest.raises(InvalidExposureError, match="SimCam/7/3/r"):
        exposure(**changes)


def test_usable_pixels_have_none_of_the_planes():
    mask = np.zeros(SHAPE, "i4")
    mask[0, 0] = MaskPlane.SAT
    mask[0, 1] = MaskPlane.DETECTED
    usable = exposure(mask=mask).usable(MaskPlane.SAT | MaskPlane.CR)
    assert not usable[0, 0]
    assert usable[0, 1]


def test_a_template_is_no_science_exposure():
    science = exposure()
    assert science.exposure_id == science.id
    template = exposure(id=TemplateId(tract=1, patch=2, band="r"))
    with pytest.raises(InvalidExposureError, match="is a template"):
        _ = template.exposure_id


def test_a_difference_changes_scale_by_the_kernel_sum():
    on_template = difference(matched_template=np.full(SHAPE, 6)).on_scale(
        FluxScale.TEMPLATE
    )
    assert on_template.image[0, 0] == pytest.approx(0.5)
    assert on_template.variance[0, 0] == pytest.approx(1)
    assert on_template.matched_template[0, 0] == pytest.approx(3)
    back = on_template.on_scale(FluxScale.SCIENCE)
    assert back.image[0, 0] == pytest.approx(1)
    assert back.on_scale(FluxScale.SCIENCE) is back


@pytest.mark.parametrize("kernel_sum", [0, -1, np.nan])
def test_a_difference_needs_a_positive_kernel_sum(kernel_sum):
    with pytest.raises(InvalidExposureError, match="kernel_sum must be positive"):
        difference(kernel_sum=kernel_sum)


def test_a_coadd_counts_inputs_on_its_own_pixels():
    with pytest.raises(InvalidExposureError, match="n_image"):
        Coadd(exposure=exposure(), n_image=np.ones((2, 2), "i4"), inputs=())


def test_a_kernel_that_varies_is_the_sum_of_its_basis_at_every_position():
    basis = np.zeros((2, 3, 3))
    basis[0, 1, 1] = 1
    basis[1, 0, 0], basis[1, 1, 1] = 1, -1
    coefficients = np.array([[2.0, 0, 0], [0.5, 0.1, 0.2]])
    kernel = MatchingKernel(
        basis=basis, coefficients=coefficients, image_shape=(11, 21)
    )
    # the first row and last column: u = 1, v = -1
    assert kernel.at(20, 0)[0, 0] == pytest.approx(0.5 + 0.1 - 0.2)
    assert kernel.sum_at(3, 4) == pytest.approx(2)
    assert kernel.centre_sum == pytest.approx(2)
    assert kernel.order == 1


@pytest.mark.parametrize(
    ("basis", "coefficients"),
    [((1, 2, 3), (1, 1)), ((1, 3, 3), (2, 1)), ((1, 3, 3), (1, 2)), ((3, 3), (1, 1))],
)
def test_kernels_that_do_not_fit_are_refused(basis, coefficients):
    with pytest.raises(ValueError, match=r"basis|terms"):
        MatchingKernel(
            basis=np.ones(basis), coefficients=np.ones(coefficients), image_shape=(5, 5)
        )


@pytest.mark.parametrize("order", range(5))
def test_terms_are_as_many_as_a_polynomial_of_two_variables_has(order):
    terms = field_terms([0, 5], [1, 2], order, SHAPE)
    assert terms.shape == (n_field_terms(order), 2)
    assert field_order(len(terms)) == order
    np.testing.assert_array_equal(terms[0], 1)


@given(
    st.lists(
        st.tuples(st.floats(0, 4000), st.floats(0, 4000)), max_size=30, unique=True
    ),
    st.randoms(),
)
def test_ids_do_not_depend_on_the_order_of_the_positions(positions, random):
    ids = dict(zip(positions, dia_source_ids(ID, *_columns(positions)), strict=True))
    random.shuffle(positions)
    again = dict(zip(positions, dia_source_ids(ID, *_columns(positions)), strict=True))
    assert ids == again
    assert len(set(ids.values())) == len(positions)


def _columns(positions):
    return np.array(positions, float).reshape(-1, 2).T


def test_an_id_holds_visit_detector_and_rank_in_63_bits():
    last = ExposureId(instrument="I", visit=2**41 - 1, detector=255, band="r")
    ids = dia_source_ids(last, np.arange(2**14), np.zeros(2**14))
    assert ids[-1] == 2**63 - 1
    with pytest.raises(ValueError, match="ids hold"):
        dia_source_ids(last, np.zeros(2**14 + 1), np.zeros(2**14 + 1))


@pytest.mark.parametrize(
    "changes", [{"visit": 2**41}, {"detector": 256}, {"visit": -1}, {"band": ""}]
)
def test_numbers_that_ids_can_not_hold_are_refused(changes):
    with pytest.raises(ValueError, match=r"must"):
        visit_ready(**changes)


def test_a_template_id_is_read_back_from_its_text():
    made = TemplateId(tract=12, patch=3, band="r")
    assert TemplateId.parse(str(made)) == made
    for text in ("deep/1/2", "deep/a/2/r", "../1/2/r", "deep/-1/2/r"):
        with pytest.raises(ValueError, match=r"template id|name/tract|negative"):
            TemplateId.parse(text)


def test_a_table_gains_and_replaces_columns_but_keeps_its_rows():
    table = DiaSources.empty().with_columns(
        (Column("psfFlux", "f4", "nJy", "Flux"),), {"psfFlux": []}
    )
    assert len(table) == 0
    table = DiaSources((Column("x", "f8", "pix", ""),), {"x": np.array([3.0, 1.0])})
    table = table.with_columns((Column("x", "f4", "pix", ""),), {"x": [5, 6]})
    assert table["x"].dtype == np.float32
    assert table.take([1]).row(0) == {"x": 6.0}
    assert "x" in table
    with pytest.raises(ValueError, match="one length"):
        table.with_columns((Column("y", "f8", "pix", ""),), {"y": [1]})
    with pytest.raises(ValueError, match="do not fit"):
        table.with_columns((Column("y", "f8", "pix", ""),), {})


@pytest.mark.parametrize(
    "changes",
    [
        {"event_id": ""},
        {"midpoint_mjd_tai": np.nan},
        {"exposure_time_s": -1},
        {"published_at": datetime(2026, 1, 1)},  # noqa: DTZ001 (that is the point)
    ],
)
def test_an_event_that_breaks_a_rule_is_refused(changes):
    with pytest.raises(ValueError, match=next(iter(changes)) + "|time zone"):
        visit_ready(**changes)


def test_an_update_covers_what_its_exposures_touch_or_names_a_patch():
    common = {"event_id": "u", "band": "r", "action": Action.ADD, "published_at": NOW}
    covering = TemplateUpdate(**common, exposures=(visit_ready(),))
    assert covering.template_id is None
    named = TemplateUpdate(**common, tract=1, patch=2)
    assert str(named.template_id) == "deep/1/2/r"
    with pytest.raises(ValueError, match="both"):
        TemplateUpdate(**common, tract=1)
    with pytest.raises(ValueError, match="must not be negative"):
        TemplateUpdate(**common, tract=1, patch=-2)
    with pytest.raises(ValueError, match="'a/b' can not be part of a template id"):
        TemplateUpdate(**common, tract=1, patch=2, template_name="a/b")
    with pytest.raises(ValueError, match="must name exposures"):
        TemplateUpdate(**common)


def test_an_outcome_and_its_reason_go_together():
    common = {
        "event_id": "e",
        "instrument": "I",
        "visit": 1,
        "detector": 1,
        "band": "r",
        "finished_at": NOW,
    }
    VisitProcessed(**common, outcome=Outcome.SKIPPED, reason=Reason.STALE)
    with pytest.raises(ValueError, match="does not go with"):
        VisitProcessed(**common, outcome=Outcome.PROCESSED, reason=Reason.STALE)
    with pytest.raises(ValueError, match="does not go with"):
        VisitProcessed(**common, outcome=Outcome.FAILED)


def test_only_a_reason_to_skip_makes_a_skip():
    assert Skip(Reason.NO_TEMPLATE).reason.outcome is Outcome.SKIPPED
    with pytest.raises(ValueError, match="raise an error"):
        Skip(Reason.TIMEOUT)


def test_every_error_of_an_event_has_a_reason_of_the_closed_list():
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type)
        and issubclass(value, UnprocessableError | errors.RetryableError)
    ]
    assert all(Reason(c.reason).outcome is Outcome.FAILED for c in classes)
