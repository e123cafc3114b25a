"""Which DiaSources become no alerts; E16 and E17 of LSST's assertions."""

import numpy as np
import pytest

from streamdiff.model import DETECTION_COLUMNS, Column, DiaSources
from streamdiff.pipeline.filters import Filters, count_reasons

# LSST's: 10 degrees in a day.
MAX_RATE = 10 * 3600 / 86400


def table(n, **columns):
    values = {c.name: np.ones(n) for c in DETECTION_COLUMNS}
    added = [
        Column(name, np.asarray(v).dtype.str.lstrip("<|"), "", "")
        for name, v in columns.items()
    ]
    return DiaSources((*DETECTION_COLUMNS, *added), values | columns)


def sorted_out(sources, *, exposure_time_s=30.0, **rules):
    kept, dropped = Filters(**rules)(sources, exposure_time_s)
    assert len(kept) + len(dropped) == len(sources)
    return kept, dropped


def test_long_trails_are_dropped():  # E16
    lengths = 1.5 * np.arange(1, 20)
    trails = table(19, trailLength=lengths)
    kept, dropped = sorted_out(trails, max_trail_rate=MAX_RATE)
    assert kept["trailLength"].tolist() == lengths[lengths < 12.5].tolist()
    assert count_reasons(dropped) == {"long_trail": np.count_nonzero(lengths >= 12.5)}


def test_the_limit_of_a_trail_grows_with_the_exposure_time():
    trails = table(1, trailLength=np.array([20.0]))
    rules = {"max_trail_rate": MAX_RATE}
    assert len(sorted_out(trails, **rules)[0]) == 0
    assert len(sorted_out(trails, exposure_time_s=60.0, **rules)[0]) == 1
    # Without an exposure time nothing is known of the rate.
    assert len(sorted_out(trails, exposure_time_s=0.0, **rules)[0]) == 1


def test_a_trail_that_the_border_cuts_counts_with_what_it_may_be():
    trails = table(
        3,
        trailLength=np.full(3, np.nan),
        trailLengthMax=np.array([20.0, 20.0, 5.0]),
        trail_flag_edge=np.array([True, False, True]),
    )
    _, dropped = sorted_out(trails, max_trail_rate=MAX_RATE)
    assert len(dropped) == 1


def test_what_is_negative_on_the_science_image_is_dropped():  # E17
    snr = np.array([-5.0, -2.1, -2.0, -1.9, 0.0, 3.0])
    sources = table(6, scienceFlux=10 * snr, scienceFluxErr=np.full(6, 10.0))
    kept, dropped = sorted_out(sources, min_science_snr=-2.0)
    assert kept["scienceFlux"].tolist() == [-20.0, -19.0, 0.0, 30.0]
    assert count_reasons(dropped) == {"negative_science": 2}


def test_flagged_ones_are_dropped():
    sources = table(3, bad=np.array([True, False, False]), cr=np.array([0, 0, 1]) > 0)
    assert len(sorted_out(sources, bad_flags=("bad",))[0]) == 2
    assert len(sorted_out(sources, bad_flags=("bad", "cr"))[0]) == 1


def test_each_is_counted_once():
    sources = table(
        2, bad=np.array([True, False]), reliability=np.array([0.1, 0.2], "f4")
    )
    _, dropped = sorted_out(sources, bad_flags=("bad",), min_reliability=0.5)
    assert count_reasons(dropped) == {"bad_flag": 1, "unreliable": 1}


def test_what_was_not_measured_breaks_no_rule():
    unknown = np.full(1, np.nan)
    sources = table(
        1,
        trailLength=unknown,
        scienceFlux=unknown,
        scienceFluxErr=unknown,
        reliability=unknown,
    )
    rules = {"max_trail_rate": 1.0, "min_science_snr": 0.0, "min_reliability": 0.5}
    assert len(sorted_out(sources, **rules)[0]) == 1
    assert len(sorted_out(table(1), **rules)[0]) == 1


@pytest.mark.parametrize("n", [0, 5])
def test_nothing_is_dropped_by_default(n):
    sources = table(n, scienceFlux=np.full(n, -9.0), scienceFluxErr=np.zeros(n))
    kept, dropped = sorted_out(sources)
    assert (len(kept), len(dropped)) == (n, 0)
    assert count_reasons(dropped) == {}
