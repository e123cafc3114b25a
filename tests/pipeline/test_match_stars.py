from dataclasses import replace

import numpy as np
import pytest

from streamdiff.model import DETECTION_COLUMNS, DiaSources, StarList
from streamdiff.pipeline.match_stars import StarMatching, nearest_within
from streamdiff.testing import PointSource, Scene

PLACES = ((20.0, 30.0), (60.0, 40.0))
SCIENCE = Scene(
    sources=tuple(PointSource(x, y, 5e4) for x, y in PLACES), shape=(80, 90)
).observe(fwhm=3, noise=10, seed=1)
NAMES = ("total", "ref_associated", "src_associated", "unassociated")


def sources(*places):
    values = {c.name: np.ones(len(places)) for c in DETECTION_COLUMNS}
    x, y = np.array(places, float).reshape(-1, 2).T
    return DiaSources(DETECTION_COLUMNS, values | {"x": x, "y": y})


def catalogued(*places):
    x, y = np.array(places, float).reshape(-1, 2).T
    n = len(places)
    return replace(SCIENCE, stars=StarList(x=x, y=y, flux=np.ones(n), snr=np.ones(n)))


def counts(metrics):
    return [metrics.get(f"n_false_positives_{name}") for name in NAMES]


def test_without_stars_nothing_is_told():
    table, metrics = StarMatching()(sources((20, 30)), SCIENCE)
    assert metrics == {}
    assert "refMatchId" not in table


def test_the_nearest_star_of_the_catalogue_is_named():
    found = sources((21, 30), (60, 40), (5, 5))
    # 0.5 arcsec are 2.5 px.
    table, metrics = StarMatching()(found, catalogued((60, 43), (20, 30), (19, 30)))
    assert table["refMatchId"].tolist() == [2, 0, 0]
    assert counts(metrics) == [3, 1, None, 2]


def test_stars_of_the_image_itself_count_on_demand():
    found = sources((20.5, 30), (60, 40), (5, 5))
    table, metrics = StarMatching(own_stars=True)(found, catalogued((20, 30)))
    assert (table["srcMatchId"] > 0).tolist() == [True, True, False]
    # One is beside both a star of the catalogue and one of the image.
    assert counts(metrics) == [3, 1, 2, 1]


def test_a_radius_of_zero_matches_nothing():
    _, metrics = StarMatching(radius_arcsec=0)(sources((20, 30)), catalogued((20, 30)))
    assert metrics == {}


@pytest.mark.parametrize("n", [0, 2])
def test_no_dia_sources_are_matched(n):
    table, metrics = StarMatching()(sources(), catalogued(*PLACES[:n] or [(1, 1)]))
    assert len(table["refMatchId"]) == 0
    assert counts(metrics) == [0, 0, None, 0]


def test_the_nearest_counts_from_one():
    number = nearest_within([0, 9], [0, 9], [0.5, 0.1], [0, 0], 1.0)
    assert number.tolist() == [2, 0]
    assert nearest_within([0], [0], [], [], 1.0).tolist() == [0]
