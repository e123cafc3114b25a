"""Visits whose DiaSources become DiaObjects."""

from dataclasses import replace

import numpy as np
import pytest
from small_stages import EVENT, SCIENCE, Returns, pipeline, subtracted

from streamdiff.adapters.catalogue import SqlCatalogue
from streamdiff.errors import RetryableError, SubtractionError
from streamdiff.model import Reason, Skip
from streamdiff.pipeline.association import Association
from streamdiff.pipeline.filters import Filters
from streamdiff.pipeline.inject import Injection
from streamdiff_association.nearest import Nearest


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
