"""What association does to the catalogue, and tells of it."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.adapters.catalogue.tables import OBJECTS
from streamdiff.errors import PluginContractError, UnprocessableError
from streamdiff.model import Alert, BandStatistics, DiaObjects
from streamdiff.model.ephemerides import Ephemerides
from streamdiff.pipeline.association import Association
from streamdiff_association.nearest import Nearest


def test_a_new_source_begins_an_object_and_the_next_one_joins_it(
    association, found, run
):
    first = run(association, found((0, 0), (30, 0), visit=1))
    second = run(association, found((0.1, 0), visit=2))
    assert (first.dia_object_ids > 0).all()
    assert second.dia_object_ids.tolist() == first.dia_object_ids[:1].tolist()
    assert first.metrics["n_new_dia_objects"] == 2
    assert second.metrics["n_associated"] == 1


def test_ids_of_objects_depend_on_the_position_alone(association, found, run, calls):
    ids = run(association, found((0, 0), visit=1)).dia_object_ids
    association.forget(found(visit=1).event)
    assert run(association, found((0, 0), visit=9)).dia_object_ids == ids


def test_the_history_tells_of_earlier_sources_of_twelve_months(association, found, run):
    for visit in (1, 2, 360, 366, 500):
        run(association, found((0, 0), visit=visit, flux=visit))
    told = run(association, found((0, 0), visit=367))
    (dia_object_id,) = told.dia_object_ids.tolist()
    history = told.histories[dia_object_id].dia_sources
    assert [row["visit"] for row in history] == [2, 360, 366]
    assert [row["psfFlux"] for row in history] == [2, 360, 366]
    assert {row["diaObjectId"] for row in history} == {dia_object_id}


def test_the_summary_is_that_of_all_sources(association, found, run):
    fluxes = [5.0, 9.0, 1.0, 4.0]
    for visit, flux in enumerate(fluxes, start=1):
        told = run(association, found((0, 0), visit=visit, flux=flux))
    summary = told.summaries[int(told.dia_object_ids[0])]
    assert summary["nDiaSources"] == 4
    assert (summary["firstDiaSourceMjdTai"], summary["lastDiaSourceMjdTai"]) == (
        61001,
        61004,
    )
    assert summary["validityStartMjdTai"] == 61004
    assert summary["r_psfFluxMean"] == pytest.approx(np.mean(fluxes))
    assert summary["r_psfFluxMeanErr"] == pytest.approx(0.5)
    assert summary["r_psfFluxSigma"] == pytest.approx(np.std(fluxes, ddof=1))
    assert (summary["r_psfFluxMin"], summary["r_psfFluxMax"]) == (1, 9)
    assert summary["r_psfFluxMaxSlope"] == pytest.approx(4)
    assert summary["r_psfFluxNdata"] == 4
    # 0.1 arcsec each, with the floor of 0.05
    expected = np.hypot(0.1, 0.05) / 2 / 3600
    assert summary["raErr"] == pytest.approx(expected)


def test_visits_that_come_late_are_put_in_their_place(association, found, run, content):
    table = [found((0, 0), visit=v, flux=(v * 7) % 5) for v in range(1, 7)]
    for item in (table[i] for i in (2, 0, 5, 1, 4, 3)):
        told = run(association, item)
    summary = told.summaries[int(told.dia_object_ids[0])]
    fluxes = [(v * 7) % 5 for v in range(1, 7)]
    assert summary["r_psfFluxMaxSlope"] == pytest.approx(np.diff(fluxes).max())
    assert len(told.histories[int(told.dia_object_ids[0])].dia_sources) == 3


def test_a_visit_that_is_run_again_counts_once(association, found, run, content):
    for visit in (1, 2, 3):
        run(association, found((0, 0), (20, 0), visit=visit, flux=visit))
    before = content(association.catalogue)
    run(association, found((0, 0), (20, 0), visit=2, flux=2))
    assert same(content(association.catalogue), before)


def test_a_visit_that_is_run_again_with_other_sources_leaves_no_trace(
    tmp_path, open_catalogue, found, run, content
):
    # Another template: one source is gone, one is new, one has moved a little.
    earlier = found((0, 0), (20, 0), (40, 0), visit=1)
    later = found((0.1, 0), (40, 0), (60, 5), visit=1, flux=50)
    other = found((0, 0.1), visit=2)
    kept = {}
    for name, order in {
        "twice": (earlier, other, later),
        "once": (other, later),
    }.items():
        catalogue = open_catalogue(f"sqlite:///{tmp_path}/{name}.db")
        association = Association(catalogue=catalogue, associator=Nearest())
        for item in order:
            told = run(association, item)
        kept[name] = content(catalogue), told
    sources = [
        sorted((row[0], row[7] - 10, row[8]) for row in tables["dia_sources"])
        for tables, _ in kept.values()
    ]
    assert sources[0] == sources[1]
    objects = [tables["dia_objects"] for tables, _ in kept.values()]
    # The id of the object that visit 2 has seen was given away already.
    found = [np.array([row[1:-1] for row in rows]) for rows in objects]
    found = [table[np.lexsort(table.T)] for table in found]
    np.testing.assert_allclose(*found, rtol=1e-12)
    assert len(objects[0]) == 3


def test_an_object_that_no_source_is_left_of_is_withdrawn(
    association, found, run, content
):
    run(association, found((0, 0), visit=1))
    empty = run(association, found(visit=1))
    assert not empty.dia_object_ids.size
    left = content(association.catalogue)
    assert not any(left[n] for n in left if n != "catalogue_version")


def test_overlapping_detectors_of_one_visit_share_their_objects(
    association, found, run
):
    a = run(association, found((0, 0), (5, 0), visit=1, detector=0))
    b = run(association, found((5.1, 0), (9, 0), visit=1, detector=1))
    assert b.dia_object_ids[0] == a.dia_object_ids[1]
    assert b.dia_object_ids[1] not in a.dia_object_ids


def test_objects_are_found_across_borders_of_pixels(association, found, run):
    # 52 arcsec per pixel: 400 positions in a row cross 40 borders
    places = [(5.0 * i, 3.0 * i) for i in range(-200, 200)]
    moved = [(x + 0.5, y - 0.5) for x, y in places]
    a = run(association, found(*places, visit=1))
    b = run(association, found(*moved, visit=2))
    assert a.dia_object_ids.tolist() == b.dia_object_ids.tolist()


def test_objects_are_found_across_the_meridian(association, found, run):
    east = -36000.0  # 10 degrees
    a = run(association, found((east - 0.2, 0), visit=1))
    b = run(association, found((east + 0.2, 0), visit=2))
    assert a.dia_object_ids == b.dia_object_ids
    mean = b.summaries[int(b.dia_object_ids[0])]["ra"]
    assert min(mean, 360 - mean) == pytest.approx(0, abs=1e-9)


POOR = {"raErr": [0.5 / 3600], "decErr": [0.5 / 3600]}


def two_poor_positions(association, found, run):
    """Begin two objects, 1.1 arcsec apart, of what lies in their middle."""
    a = run(association, found((-0.5, 0), visit=1, **POOR))
    b = run(association, found((0.6, 0), visit=2, **POOR))
    return int(a.dia_object_ids[0]), int(b.dia_object_ids[0])


def test_two_objects_that_are_one_are_merged(association, found, run):
    first, second = two_poor_positions(association, found, run)
    assert first != second
    told = run(association, found((0.1, 0), visit=3))
    assert told.metrics["n_merged_dia_objects"] == 1
    assert told.dia_object_ids.tolist() == [first]
    assert told.summaries[first]["nDiaSources"] == 3
    history = told.histories[first].dia_sources
    assert [(row["visit"], row["diaObjectId"]) for row in history] == [
        (1, first),
        (2, first),
    ]


def test_a_merge_is_undone_with_the_visit_that_brought_it_about(
    association, found, run, content
):
    two_poor_positions(association, found, run)
    before = content(association.catalogue)
    last = found((0.1, 0), visit=3)
    assert run(association, last).metrics["n_merged_dia_objects"] == 1
    association.forget(last.event)
    assert same(content(association.catalogue), before)


def test_objects_that_one_visit_has_seen_both_of_stay_two(association, found, run):
    for visit in range(1, 6):
        told = run(association, found((0, 0), (0.3, 0), visit=visit))
    assert len(set(told.dia_object_ids.tolist())) == 2
    assert (
        run(association, found((0.15, 0), visit=9)).metrics["n_merged_dia_objects"] == 0
    )


def test_moving_objects_are_named_and_join_no_object(catalogue, found, run):
    times = np.array([61000.0, 61001, 61002, 61003])
    moving = Ephemerides(
        ss_object_id=[77] * 4,
        mjd_tai=times,
        ra=10 + 100 / 3600 * (times - 61000),
        dec=np.zeros(4),
        error=np.full(4, 0.1),
    )
    association = Association(
        catalogue=catalogue, associator=Nearest(), ephemerides=moving
    )
    run(association, found((150, 0), visit=0, mjd=60999.0))
    told = run(association, found((150, 0), (0, 0), visit=1, mjd=61001.5))
    assert told.ss_object_ids.tolist() == [77, 0] or told.ss_object_ids.tolist() == [
        0,
        77,
    ]
    is_moving = told.ss_object_ids == 77
    (record,) = told.ss_sources.values()
    assert record["ssObjectId"] == 77
    assert record["diaDistanceRank"] == 1
    assert told.fields(int(np.flatnonzero(is_moving)[0])).ss_source == record
    assert told.fields(int(np.flatnonzero(~is_moving)[0])).ss_source is None
    assert told.dia_object_ids[is_moving].tolist() == [0]
    assert (told.dia_object_ids[~is_moving] > 0).all()
    assert told.metrics["n_ss_objects"] == 1


def test_another_instrument_needs_a_catalogue_of_its_own(association, found, run):
    run(association, found((0, 0), visit=1))
    with pytest.raises(UnprocessableError, match=r"SimCam.*url of its own"):
        run(association, found((0, 0), visit=1, instrument="OtherCam"))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([5], "id 5, which is none of"),
        ([-1, -1], "shape"),
        ([0.5], "float64"),
    ],
)
def test_an_associator_that_breaks_the_contract_is_refused(
    catalogue, found, run, content, answer, message
):
    class Wrong:
        radius_arcsec = 1.0

        def associate(self, sources, objects):
            return np.array(answer)

    association = Association(catalogue=catalogue, associator=Wrong())
    with pytest.raises(PluginContractError, match=message):
        run(association, found((0, 0)))
    assert not content(catalogue)["dia_sources"]


def test_sources_that_belong_to_nothing_are_kept_without_object(
    catalogue, found, run, content
):
    class Nothing:
        radius_arcsec = 1.0

        def associate(self, sources, objects):
            return np.zeros(len(sources), int)

    association = Association(catalogue=catalogue, associator=Nothing())
    told = run(association, found((0, 0)))
    assert told.dia_object_ids.tolist() == [0]
    assert not told.summaries
    assert len(content(catalogue)["dia_sources"]) == 1
    assert not content(catalogue)["dia_objects"]


def test_a_position_that_is_none_is_refused(association, found, run):
    with pytest.raises(PluginContractError, match="not finite"):
        run(association, found((0, 0), ra=[np.nan]))


def test_what_is_kept_is_what_all_rows_say(association, found, run, catalogue):
    rng = np.random.default_rng(4)
    places = [(20.0 * i, 0.0) for i in range(12)]
    for visit in range(1, 25):
        seen = [p for p in places if rng.random() < 0.7]
        jitter = rng.normal(0, 0.1, (len(seen), 2))
        flux = rng.normal(1e4, 3, len(seen))
        run(
            association,
            found(
                *(np.array(seen) + jitter),
                visit=visit,
                band="gr"[visit % 2],
                psfFlux=flux,
            ),
        )
    with catalogue.session(found(visit=99).event, np.zeros(0, int)) as session:
        ids = np.array(
            session.connection.execute(OBJECTS.select()).scalars().all(), np.int64
        )
        rows = session.sources_of(ids)
        objects, statistics = session.objects_of(ids), session.statistics_of(ids)
    assert len(objects) == 12
    batch = BandStatistics.of_sources(rows)
    order = np.lexsort((statistics.band, statistics.dia_object_id))
    for name, values in batch.columns().items():
        kept = getattr(statistics, name)[order]
        if name == "band":
            assert (kept == values).all()
        else:
            np.testing.assert_allclose(kept, values, rtol=1e-9, err_msg=name)
    expected = DiaObjects.of_sources(rows)
    for name, values in expected.columns().items():
        np.testing.assert_allclose(getattr(objects, name), values, rtol=1e-9)


def same(a, b):
    """Return whether two catalogues hold the same, but for the last digits."""
    assert a.keys() == b.keys()
    for name in a:
        assert len(a[name]) == len(b[name]), name
        for row, other in zip(a[name], b[name], strict=True):
            for x, y in zip(row, other, strict=True):
                assert x == y or y == pytest.approx(x, rel=1e-9), (name, row, other)
    return True


def test_told_alerts_have_object_and_history(association, found, run):
    run(association, found((0, 0), visit=1))
    item = found((0, 0), visit=2)
    told = run(association, item)
    alert = Alert(
        event_id="e",
        dia_source=item.records[0],
        cutout_difference=None,
        cutout_science=None,
        cutout_template=None,
    )
    made = told.fields(0).by(alert)
    assert made.dia_source["diaObjectId"] == told.dia_object_ids[0]
    assert made.dia_source["ssObjectId"] is None
    assert made.dia_object["nDiaSources"] == 2
    assert [row["visit"] for row in made.prv_dia_sources] == [1]
    none = replace(told, dia_object_ids=np.zeros(1, int)).fields(0).by(alert)
    assert none.dia_source["diaObjectId"] is None
    assert none.dia_object is None


def test_a_visit_run_again_is_the_same_to_the_last_digit(
    association, found, run, content
):
    rng = np.random.default_rng(8)
    visits = [
        found(
            *(np.array([(0, 0), (20, 0), (40, 0)]) + rng.normal(0, 0.1, (3, 2))),
            visit=visit,
            band="gri"[visit % 3],
            psfFlux=rng.normal(100, 3, 3),
        )
        for visit in range(1, 9)
    ]
    late = visits.pop(3)  # one comes when later ones of other bands are there
    for item in (*visits, late):
        run(association, item)
    before = content(association.catalogue)
    for item in (visits[2], late, visits[-1]):
        run(association, item)
        assert content(association.catalogue) == before
