"""What is told of a DiaSource beside what was predicted of it."""

import numpy as np
import pytest

from streamdiff.adapters.avro.alert import flat_record
from streamdiff.model import SourceRows
from streamdiff.model.ephemerides import Ephemerides
from streamdiff.pipeline.association.solar_system import ss_sources

# An asteroid of LSST's: where it was seen, how it moved, and what they say of it.
RA, DEC = 186.18906993899677, 7.364048187677204
RATE = np.array([-0.1242177608944433, -0.0439180553471223])
OFFSET = np.array([-0.08092633090227584, -0.06292996923882299])
EXPECTED = {
    "eclLambda": 182.73184707660818,
    "eclBeta": 9.214287183249514,
    "galLon": 283.959546691413,
    "galLat": 69.24711603487795,
    "ephRate": 0.13175297987940152,
    "ephRateRa": RATE[0],
    "ephRateDec": RATE[1],
    "ephOffset": 0.10251464315747216,
    "ephOffsetRa": OFFSET[0],
    "ephOffsetDec": OFFSET[1],
    "ephOffsetAlongTrack": 0.09727483587724564,
    "ephOffsetCrossTrack": 0.03235519072357292,
}
MJD = 61100.0


def path(number, rate=RATE):
    days = np.array([-0.02, -0.01, 0.01, 0.02])
    east, north = (rate * days[:, np.newaxis] - OFFSET / 3600).T
    return Ephemerides(
        ss_object_id=[number] * 4,
        mjd_tai=MJD + days,
        ra=RA + east / np.cos(np.radians(DEC)),
        dec=DEC + north,
        error=[0.1] * 4,
    )


def rows(ra, dec, ids):
    n = len(ra)
    values = {name: np.zeros(n) for name in SourceRows.names()}
    values |= {
        "dia_source_id": np.arange(n) + 5,
        "ss_object_id": ids,
        "band": np.full(n, "r"),
        "ra": ra,
        "dec": dec,
    }
    return SourceRows(**values)


def test_what_is_told_is_what_lsst_tells():
    found = ss_sources(rows([10, RA], [0, DEC], [0, 77]), path(77), MJD)
    assert list(found) == [1]
    record = found[1]
    assert (record["diaSourceId"], record["ssObjectId"]) == (6, 77)
    for name, value in EXPECTED.items():
        assert record[name] == pytest.approx(value, rel=1e-5), name
    assert record["ephRa"] == pytest.approx(RA - OFFSET[0] / 3600, abs=1e-6)
    assert record["diaDistanceRank"] == 1


def test_records_are_of_their_schema():
    found = ss_sources(rows([RA], [DEC], [77]), path(77), MJD)
    record = flat_record("ssSource", found[0])
    assert record["designation"] is record["helio_x"] is None
    assert record["eclBeta"] == found[0]["eclBeta"]


def test_elongation_is_from_the_sun():
    # at the equinox of March 2026 the Sun passes RA 0: 61119.61 MJD
    equinox = 61119.61
    made = Ephemerides(
        ss_object_id=[1, 1],
        mjd_tai=[equinox - 1, equinox + 1],
        ra=[90.0, 90.0],
        dec=[0.0, 0.0],
        error=[0.1, 0.1],
    )
    record = ss_sources(rows([90.0], [0.0], [1]), made, equinox)[0]
    # to the aberration and precession since 2000
    assert record["elongation"] == pytest.approx(90, abs=0.5)
    # it does not move: nothing is along its track
    assert record["ephRate"] == 0
    assert np.isnan(record["ephOffsetAlongTrack"])


def test_the_rank_counts_what_lies_nearer():
    near = DEC - OFFSET[1] / 3600
    told = ss_sources(rows([RA, RA], [DEC, near], [77, 0]), path(77), MJD)
    assert told[0]["diaDistanceRank"] == 2


def test_each_row_is_told_of_its_own_object():
    both = Ephemerides.joined([path(3), path(9, rate=-RATE)])
    told = ss_sources(rows([RA, RA], [DEC, DEC], [9, 3]), both, MJD)
    assert told[0]["ephRateRa"] == pytest.approx(-RATE[0], rel=1e-5)
    assert told[1]["ephRateRa"] == pytest.approx(RATE[0], rel=1e-5)


def test_nothing_is_told_where_nothing_is_known():
    assert ss_sources(rows([RA], [DEC], [0]), Ephemerides.empty(), MJD) == {}
