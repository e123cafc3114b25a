"""What must hold in every database, with several workers and with crashes."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from sqlalchemy import text

from streamdiff.adapters.catalogue.migrations import VERSION, version_of
from streamdiff.adapters.catalogue.tables import FORCED
from streamdiff.errors import StoreUnavailableError
from streamdiff.pipeline.association import Association
from streamdiff_association.nearest import Nearest


@pytest.fixture
def workers(any_url, open_catalogue):
    """Return associations that share a database, each with connections of its own."""

    def make(n, associator=None):
        return [
            Association(
                catalogue=open_catalogue(any_url), associator=associator or Nearest()
            )
            for _ in range(n)
        ]

    return make


def numbers(rows):
    """Return rows of a table without their texts."""
    return np.array([[x for x in row if not isinstance(x, str)] for row in rows], float)


def test_a_visit_that_is_run_again_is_as_run_once(workers, found, run, content):
    (association,) = workers(1)
    for visit in (1, 2, 3):
        told = run(association, found((0, 0), (20, 0), visit=visit, flux=visit))
    before = content(association.catalogue)
    again = run(association, found((0, 0), (20, 0), visit=3, flux=3))
    after = content(association.catalogue)
    assert after["dia_sources"] == before["dia_sources"]
    assert len(after["dia_objects"]) == 2
    for name in ("dia_objects", "dia_object_bands"):
        numbers = [
            np.array(
                [[x for x in row if not isinstance(x, str)] for row in rows], float
            )
            for rows in (before[name], after[name])
        ]
        np.testing.assert_allclose(*numbers, rtol=1e-12)
    assert again.histories == told.histories


def test_workers_on_overlapping_detectors_make_one_object_of_one_source(
    workers, found, run, content
):
    """All begin at once, in threads of their own, where there is no object yet."""
    n_workers, n_visits, shared = 3, 4, [(10.0 * i, 0.0) for i in range(5)]
    associations, barrier = workers(n_workers), Barrier(n_workers, timeout=60)

    def work(detector):
        ids = []
        for visit in range(1, n_visits + 1):
            row = [(x, 100.0 * visit) for x, _ in shared]
            own = (0.0, 100.0 * visit + 5 * (detector + 1))
            barrier.wait()
            told = run(
                associations[detector],
                found(*row, own, visit=visit, detector=detector),
            )
            ids.append(told.dia_object_ids[:-1].tolist())
        return ids

    with ThreadPoolExecutor(n_workers) as threads:
        per_worker = list(threads.map(work, range(n_workers)))
    assert per_worker[0] == per_worker[1] == per_worker[2]
    objects = content(associations[0].catalogue)["dia_objects"]
    assert len(objects) == n_visits * (len(shared) + n_workers)
    assert sum(row[6] for row in objects) == n_visits * n_workers * (len(shared) + 1)


def test_workers_on_other_detectors_and_visits_do_not_wait_in_a_ring(
    workers, found, run, content
):
    """Each covers the sky of all others, from another corner."""
    rng, n = np.random.default_rng(6), 3
    places = rng.uniform(-9000, 9000, (30, 2))  # many of the pixels that are locked
    associations, barrier = workers(n), Barrier(n, timeout=60)

    def work(worker):
        barrier.wait()
        for visit in range(1, 4):
            order = np.random.default_rng(visit + 10 * worker).permutation(len(places))
            item = found(*places[order], visit=visit, detector=worker)
            run(associations[worker], item)

    with ThreadPoolExecutor(n) as threads:
        list(threads.map(work, range(n)))
    kept = content(associations[0].catalogue)
    assert len(kept["dia_objects"]) == len(places)
    assert len(kept["dia_sources"]) == 9 * len(places)


class Crash(KeyboardInterrupt):
    """No error of a plugin: nothing on the way handles it."""


def test_a_crash_inside_the_transaction_leaves_what_was_before(
    workers, found, run, content
):
    (association,) = workers(1)
    run(association, found((0, 0), visit=1))
    before = content(association.catalogue)

    class Dying:
        radius_arcsec = 1.0

        def associate(self, sources, objects):
            raise Crash

    (dying,) = workers(1, Dying())
    with pytest.raises(Crash):
        run(dying, found((3, 0), visit=1))
    assert content(association.catalogue) == before


def test_nights_with_crashes_give_every_object_one_name_and_all_its_history(
    catalogue, association, found, run
):
    """Thirty nights, two detectors that overlap, a crash in every third visit.

    A worker dies before, inside or after its transaction, and the visit runs again,
    once with another template that moves its sources by a little.
    """
    rng = np.random.default_rng(12)
    truth = {i: (12.0 * i, 7.0 * (i % 3)) for i in range(16)}
    seen = {i: [] for i in truth}
    names = {i: set() for i in truth}

    class Dying:
        radius_arcsec = 1.0

        def associate(self, sources, objects):
            raise Crash

    dying = Association(catalogue=catalogue, associator=Dying())
    for night in range(1, 31):
        for detector, half in ((0, range(10)), (1, range(6, 16))):
            visible = [i for i in half if rng.random() < 0.8]
            fluxes = rng.normal(100 + 10 * np.sin(night), 2, len(visible))

            def again(shift, visible=visible, fluxes=fluxes, night=night, d=detector):
                jitter = rng.normal(0, 0.08, (len(visible), 2))
                places = np.array([truth[i] for i in visible]).reshape(-1, 2) + jitter
                return found(*(places + shift), visit=night, detector=d, psfFlux=fluxes)

            fate = rng.integers(6)
            if fate == 0:
                with pytest.raises(Crash):
                    run(dying, again(0.0))
            if fate == 1:
                run(association, again(0.1))
            told = run(association, again(0.0))
            for i, name, flux in zip(
                visible, told.dia_object_ids.tolist(), fluxes, strict=True
            ):
                names[i].add(name)
                seen[i].append((night, detector, flux))
    assert all(len(n) == 1 for n in names.values())
    assert len(set().union(*names.values())) == len(truth)
    last = run(association, found(*truth.values(), visit=99, band="g"))
    for i, name in enumerate(last.dia_object_ids.tolist()):
        assert names[i] == {name}
        history = last.histories[name].dia_sources
        assert [(r["visit"], r["detector"]) for r in history] == [
            (night, detector) for night, detector, _ in seen[i]
        ]
        fluxes = np.array([flux for *_, flux in seen[i]])
        summary = last.summaries[name]
        assert summary["r_psfFluxMean"] == pytest.approx(fluxes.mean(), rel=1e-9)
        assert summary["r_psfFluxSigma"] == pytest.approx(fluxes.std(ddof=1), rel=1e-9)
        assert summary["r_psfFluxNdata"] == fluxes.size
        assert summary["nDiaSources"] == fluxes.size + 1


def test_a_server_that_was_away_is_found_again(postgres, open_catalogue, found, run):
    catalogue = open_catalogue(postgres.new_database(), timeout_s=2)
    association = Association(catalogue=catalogue, associator=Nearest())
    ids = run(association, found((0, 0), visit=1)).dia_object_ids
    postgres.stop()
    try:
        with pytest.raises(StoreUnavailableError, match="catalogue postgresql"):
            run(association, found((0, 0), visit=2))
    finally:
        postgres.start()
    assert run(association, found((0, 0), visit=2)).dia_object_ids == ids


def test_a_catalogue_of_the_first_version_gets_times(any_url, open_catalogue):
    old = open_catalogue(any_url)
    old.prepare()
    with old.engine.begin() as connection:
        for statement in (
            "ALTER TABLE dia_forced_sources DROP COLUMN time_processed_mjd_tai",
            "UPDATE catalogue_version SET version = 1",
        ):
            connection.execute(text(statement))
    new = open_catalogue(any_url)
    new.prepare()
    with new.engine.begin() as connection:
        assert version_of(connection) == VERSION
        assert not connection.execute(FORCED.select()).all()
