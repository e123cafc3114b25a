"""Statistics that are added to, against those of all fluxes at once."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.model import BandStatistics, ForcedRows, SourceRows

N = 600
RNG = np.random.default_rng(3)


def rows(n=N, **changes):
    values = {
        "dia_source_id": np.arange(n),
        "dia_object_id": RNG.integers(1, 12, n),
        "ss_object_id": np.zeros(n),
        "midpoint_mjd_tai": np.sort(RNG.uniform(61000, 61030, n)),
        "band": RNG.choice(list("gr"), n),
        "ra": RNG.uniform(0, 1, n),
        "dec": RNG.uniform(0, 1, n),
        "ra_err": np.full(n, 1e-5),
        "dec_err": np.full(n, 1e-5),
        "ra_dec_cov": np.zeros(n),
        "psf_flux": RNG.normal(1e9, 1, n),
        "psf_flux_err": RNG.uniform(0.5, 2, n),
        "science_flux": RNG.normal(500, 30, n),
        "science_flux_err": RNG.uniform(5, 20, n),
    }
    return SourceRows(**(values | changes))


def forced_rows(n=N):
    source = rows(n)
    shared = {k: v for k, v in source.columns().items() if k in ForcedRows.names()}
    return ForcedRows(
        dia_forced_source_id=np.arange(n),
        visit=np.arange(n),
        detector=np.zeros(n),
        time_processed_mjd_tai=np.zeros(n),
        **shared,
    )


def assert_same(found, expected, rtol=1e-12):
    for name, values in expected.columns().items():
        if name == "band":
            assert (found.band == values).all()
        else:
            np.testing.assert_allclose(
                getattr(found, name), values, rtol=rtol, err_msg=name
            )


def test_a_row_is_what_numpy_says_of_its_fluxes():
    table = rows()
    found = BandStatistics.of_sources(table)
    for i in range(len(found)):
        mine = (table.dia_object_id == found.dia_object_id[i]) & (
            table.band == found.band[i]
        )
        flux, error = table.psf_flux[mine], table.psf_flux_err[mine]
        times = table.midpoint_mjd_tai[mine]
        weight = error**-2
        assert found.n[i] == flux.size
        assert found.mean[i] == pytest.approx(flux.mean(), rel=1e-14)
        # Means of fluxes near 1e9 are known to 1e-7: so are deviations of 1 from them.
        assert found.squares[i] == pytest.approx(flux.var() * flux.size, rel=1e-6)
        mean = np.average(flux, weights=weight)
        assert found.weighted_mean[i] == pytest.approx(mean, rel=1e-14)
        assert found.weight[i] == pytest.approx(weight.sum())
        assert (found.minimum[i], found.maximum[i]) == (flux.min(), flux.max())
        assert found.error_mean[i] == pytest.approx(error.mean())
        slopes = np.diff(flux) / np.diff(times)
        assert found.max_slope[i] == pytest.approx(slopes.max())


@pytest.mark.parametrize("size", [1, 7, 250])
def test_adding_in_parts_is_taking_all_at_once(size):
    # 1e9 +- 1: a sum of squares would have lost all digits of the scatter; means are
    # known to 1e-7, and so are deviations from them.
    table, found = rows(), BandStatistics.empty()
    for start in range(0, N, size):
        part = BandStatistics.of_sources(table.take(slice(start, start + size)))
        assert not found.not_before(part).size
        found = found.followed_by(part)
    assert_same(found, BandStatistics.of_sources(table), rtol=1e-6)


def test_forced_fluxes_are_added_in_any_order():
    table, found = forced_rows(), BandStatistics.empty()
    for part in np.array_split(RNG.permutation(N), 20):
        found = found.followed_by(BandStatistics.of_forced(table.take(part)))
    assert_same(found, BandStatistics.of_forced(table))
    assert not found.n.any()


def test_sources_and_forced_fluxes_do_not_mix():
    sources, forced = rows(), forced_rows()
    both = BandStatistics.of_sources(sources).followed_by(
        BandStatistics.of_forced(forced)
    )
    alone = BandStatistics.of_sources(sources)
    assert_same(replace(both, **_forced_of(alone)), alone)


def _forced_of(table):
    return {n: getattr(table, n) for n in ("forced_weight", "forced_mean")}


def test_dia_objects_with_later_sources_already_are_told():
    table = rows(4, dia_object_id=[1, 1, 2, 2], band=["r"] * 4)
    table = replace(table, midpoint_mjd_tai=[1.0, 5.0, 1.0, 5.0])
    known = BandStatistics.of_sources(table)
    new = replace(table.take(slice(0, 3, 2)), midpoint_mjd_tai=[5.0, 6.0])
    assert known.not_before(BandStatistics.of_sources(new)).tolist() == [1]


def test_fluxes_that_are_missing_count_nowhere():
    flux, error = [1.0, np.nan, 3.0, 5.0], [1.0, 1.0, np.nan, 0.0]
    table = rows(4, dia_object_id=[9] * 4, band=["r"] * 4)
    found = BandStatistics.of_sources(replace(table, psf_flux=flux, psf_flux_err=error))
    assert (found.n[0], found.mean[0]) == (3, 3)
    assert (found.weight[0], found.weighted_mean[0]) == (1, 1)


def test_two_fluxes_of_one_time_have_no_slope_between_them():
    table = rows(3, dia_object_id=[9] * 3, band=["r"] * 3)
    table = replace(table, midpoint_mjd_tai=[1.0, 1.0, 3.0], psf_flux=[0.0, 9.0, 10.0])
    assert BandStatistics.of_sources(table).max_slope[0] == pytest.approx(0.5)


def test_nothing_has_no_statistics():
    assert len(BandStatistics.of_sources(SourceRows.empty())) == 0
    known = BandStatistics.of_sources(rows())
    assert_same(known.followed_by(BandStatistics.empty()), known)
    assert_same(BandStatistics.empty().followed_by(known), known)
