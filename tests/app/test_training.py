"""Examples of reliability are labelled by the truth."""

import numpy as np
import pytest

from streamdiff.app.training import examples_of, matched
from streamdiff.model import DETECTION_COLUMNS, Column, DiaSources
from streamdiff_reliability.fields import TrainingField

WIDTH = 4.0


@pytest.fixture(scope="module")
def field():
    return TrainingField(seed=11, shape=(256, 256), transients=6, hosted=2, variables=4)


def table(x, y, flux):
    n = len(x)
    values = {
        "x": x,
        "y": y,
        "snr": np.full(n, 9.0),
        "isNegative": flux < 0,
        "bboxSize": np.full(n, 11),
        "footprintArea": np.full(n, 90),
        "psfFlux": flux,
    }
    columns = (*DETECTION_COLUMNS, Column("psfFlux", "f4", "nJy", ""))
    return DiaSources(columns, values)


def test_a_field_is_the_same_every_time(field):
    again = TrainingField(
        seed=11, shape=(256, 256), transients=6, hosted=2, variables=4
    )
    np.testing.assert_array_equal(again.science().image, field.science().image)
    assert again.changes == field.changes


def test_what_is_where_a_change_is_is_real(field):
    x, y = field.places()
    is_real, belongs = matched(table(x, y, field.fluxes), field, WIDTH)
    assert is_real.all()
    assert belongs.all()


def test_another_sign_or_flux_is_not_real_but_belongs_to_the_change(field):
    x, y = field.places()
    for flux in (-field.fluxes, 5 * field.fluxes, 0.1 * field.fluxes):
        is_real, belongs = matched(table(x, y, flux), field, WIDTH)
        assert not is_real[~field.is_trail].any()
        assert belongs.all()


def test_what_is_far_from_all_changes_is_an_artifact(field):
    far = np.array([-500.0])
    is_real, belongs = matched(table(far, far, np.array([1e3])), field, WIDTH)
    assert not is_real.any()
    assert not belongs.any()


def test_examples_are_of_both_kinds():
    found = examples_of(TrainingField(seed=3, shape=(320, 320), transients=15))
    assert found is not None
    assert found.is_real.sum() >= 5
    assert (~found.is_real).sum() >= 1
    assert all(len(v) == len(found) for v in found.values.values())


def test_a_field_that_can_not_be_subtracted_has_none():
    # Its sky has hardly a star.
    assert examples_of(TrainingField(seed=0, shape=(48, 48), transients=0)) is None
