"""What of a visit's DiaSources becomes an alert."""

from dataclasses import replace

import numpy as np
import pytest
from small_stages import EVENT, SCIENCE, Returns, pipeline

from streamdiff.errors import RetryableError
from streamdiff.model import DETECTION_COLUMNS, DiaSources, Outcome, StarList
from streamdiff.pipeline.filters import Filters
from streamdiff.pipeline.match_stars import StarMatching
from streamdiff.pipeline.sky_sources import SkySources


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
