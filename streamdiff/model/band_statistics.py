"""Statistics of the light curves of DiaObjects, per band, that can be added to.

Means and sums of squares of two sets of fluxes are joined without going back to the
fluxes (Chan, Golub & LeVeque 1983, Am. Stat. 37, 242): no differences of large sums,
so that 10,000 fluxes lose no more digits than ten.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from streamdiff.model.catalogue_rows import ForcedRows, SourceRows
from streamdiff.model.rows import Flags, Floats, Ints, Rows, Texts, sums


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BandStatistics(Rows):
    """One row per DiaObject and band; fluxes in nJy, NaN where there are none.

    Attributes
    ----------
    dia_object_id : ndarray of int64
    band : ndarray of str
    n : ndarray of int64
        DiaSources with a flux.
    mean, squares : ndarray of float64
        Unweighted mean of psfFlux, and sum of the squared deviations from it.
    weight, weighted_mean : ndarray of float64
        Sum of 1 / psfFluxErr^2, and the mean with these weights.
    minimum, maximum : ndarray of float64
    n_errors : ndarray of int64
    error_mean : ndarray of float64
        Mean of psfFluxErr.
    first_mjd, first_flux, last_mjd, last_flux : ndarray of float64
        First and last psfFlux.
    max_slope : ndarray of float64
        Largest slope from one psfFlux to the next one in time [nJy/d]; of two at one
        time there is none.
    science_weight, science_mean : ndarray of float64
        The same as ``weight`` and ``weighted_mean``, of scienceFlux.
    forced_weight, forced_mean : ndarray of float64
        The same, of the forced fluxes on difference images.
    """

    dia_object_id: Ints
    band: Texts
    n: Ints
    mean: Floats
    squares: Floats
    weight: Floats
    weighted_mean: Floats
    minimum: Floats
    maximum: Floats
    n_errors: Ints
    error_mean: Floats
    first_mjd: Floats
    first_flux: Floats
    last_mjd: Floats
    last_flux: Floats
    max_slope: Floats
    science_weight: Floats
    science_mean: Floats
    forced_weight: Floats
    forced_mean: Floats

    @classmethod
    def of_sources(cls, rows: SourceRows) -> Self:
        """Return the statistics of DiaSources, one row per DiaObject and band."""
        rows = rows.take(np.lexsort((rows.dia_source_id, rows.midpoint_mjd_tai)))
        groups = _Groups.of(rows.dia_object_id, rows.band)
        mean = groups.mean(rows.psf_flux)
        deviation = rows.psf_flux - mean[groups.number]
        weight, weighted = groups.weighted_mean(rows.psf_flux, rows.psf_flux_err)
        science = groups.weighted_mean(rows.science_flux, rows.science_flux_err)
        known = _is_error(rows.psf_flux_err)
        errors = np.where(known, rows.psf_flux_err, np.nan)
        first, last = (
            groups.first_known(rows.psf_flux),
            groups.last_known(rows.psf_flux),
        )
        times = rows.midpoint_mjd_tai
        return cls(
            **groups.keys(),
            n=groups.count(rows.psf_flux),
            mean=mean,
            squares=groups.total(deviation**2),
            weight=weight,
            weighted_mean=weighted,
            minimum=groups.extreme(np.fmin, rows.psf_flux),
            maximum=groups.extreme(np.fmax, rows.psf_flux),
            n_errors=groups.count(errors),
            error_mean=groups.mean(errors),
            first_mjd=_picked(times, first),
            first_flux=_picked(rows.psf_flux, first),
            last_mjd=_picked(times, last),
            last_flux=_picked(rows.psf_flux, last),
            max_slope=groups.max_slope(times, rows.psf_flux),
            science_weight=science[0],
            science_mean=science[1],
            forced_weight=np.zeros(groups.n),
            forced_mean=np.full(groups.n, np.nan),
        )

    @classmethod
    def of_forced(cls, rows: ForcedRows) -> Self:
        """Return the statistics of forced sources, one row per DiaObject and band."""
        groups = _Groups.of(rows.dia_object_id, rows.band)
        weight, mean = groups.weighted_mean(rows.psf_flux, rows.psf_flux_err)
        own = {"forced_weight": weight, "forced_mean": mean}
        return cls(**(_nothing(cls, groups) | groups.keys() | own))

    def followed_by(self, later: Self) -> Self:
        """Return the statistics of all fluxes that two tables are made of.

        Parameters
        ----------
        later : BandStatistics
            Where both have DiaSources, its are later: but for those of `not_before`.
        """
        groups = _Groups.of(
            np.concatenate([self.dia_object_id, later.dia_object_id]),
            np.concatenate([self.band, later.band]),
        )
        a = self._spread(groups, groups.number[: len(self)])
        b = later._spread(groups, groups.number[len(self) :])
        step = _divided(b.first_flux - a.last_flux, b.first_mjd - a.last_mjd)
        n, mean, squares = _joined_moments(a, b)
        return type(self)(
            **groups.keys(),
            n=n,
            mean=mean,
            squares=squares,
            **_joined_means(a, b),
            minimum=np.fmin(a.minimum, b.minimum),
            maximum=np.fmax(a.maximum, b.maximum),
            first_mjd=np.where(a.n > 0, a.first_mjd, b.first_mjd),
            first_flux=np.where(a.n > 0, a.first_flux, b.first_flux),
            last_mjd=np.where(b.n > 0, b.last_mjd, a.last_mjd),
            last_flux=np.where(b.n > 0, b.last_flux, a.last_flux),
            max_slope=np.fmax(np.fmax(a.max_slope, b.max_slope), step),
        )

    def not_before(self, later: Self) -> Ints:
        """Return the DiaObjects whose DiaSources are not all before those of others.

        `followed_by` is not for them.
        """
        groups = _Groups.of(
            np.concatenate([self.dia_object_id, later.dia_object_id]),
            np.concatenate([self.band, later.band]),
        )
        a = self._spread(groups, groups.number[: len(self)])
        b = later._spread(groups, groups.number[len(self) :])
        return np.unique(groups.dia_object_id[a.last_mjd >= b.first_mjd])

    def _spread(self, groups: "_Groups", rows: Ints) -> Self:
        """Return one row per group: our own ones, and those of nothing."""
        values = _nothing(type(self), groups)
        for name, own in self.columns().items():
            if name not in _KEYS:
                values[name][rows] = own
        return type(self)(**(values | groups.keys()))


_KEYS = ("dia_object_id", "band")
_SUMS = ("n", "n_errors", "squares", "weight", "science_weight", "forced_weight")
# Means, and what each is weighted with.
_WEIGHTS = {
    "weighted_mean": "weight",
    "error_mean": "n_errors",
    "science_mean": "science_weight",
    "forced_mean": "forced_weight",
}


def _nothing(kind: type[BandStatistics], groups: "_Groups") -> dict[str, Any]:
    """Return the columns, but the keys, of groups without a flux."""
    return {
        name: np.full(groups.n, 0.0 if name in _SUMS else np.nan)
        for name in kind.names()
        if name not in _KEYS
    }


def _joined_moments(
    a: BandStatistics, b: BandStatistics
) -> tuple[Ints, Floats, Floats]:
    n = a.n + b.n
    mean = _mixed(a.mean, b.mean, a.n, b.n)
    between = np.nan_to_num((b.mean - a.mean) ** 2) * _divided(a.n * b.n, n)
    squares = a.squares + b.squares + np.nan_to_num(between)
    return n, mean, squares


def _joined_means(a: BandStatistics, b: BandStatistics) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    for mean, weight in _WEIGHTS.items():
        of_a, of_b = getattr(a, weight), getattr(b, weight)
        joined[weight] = of_a + of_b
        joined[mean] = _mixed(getattr(a, mean), getattr(b, mean), of_a, of_b)
    return joined


def _mixed(a: Floats, b: Floats, of_a: Floats | Ints, of_b: Floats | Ints) -> Floats:
    """Return the means of what has the means a and b."""
    both = a + (b - a) * _divided(of_b, of_a + of_b)
    mixed: Floats = np.where(of_a == 0, b, np.where(of_b == 0, a, both))
    return mixed


def _divided(a: Floats | Ints, b: Floats | Ints) -> Floats:
    """Return quotients, NaN where there is none."""
    quotient: Floats = np.divide(a, b, out=np.full(len(a), np.nan), where=b != 0)
    return quotient


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Groups:
    """Rows of the same DiaObject and band.

    Attributes
    ----------
    dia_object_id, band : ndarray, shape (n,)
        Of each group.
    number : ndarray of int64
        Of the group of each row.
    """

    dia_object_id: Ints
    band: Texts
    number: Ints

    @classmethod
    def of(cls, dia_object_id: Ints, band: Texts) -> Self:
        bands, band_number = np.unique(band, return_inverse=True)
        ids, id_number = np.unique(dia_object_id, return_inverse=True)
        pairs = id_number * max(len(bands), 1) + band_number
        used, number = np.unique(pairs, return_inverse=True)
        object_number, band_number = np.divmod(used, max(len(bands), 1))
        return cls(
            dia_object_id=ids[object_number], band=bands[band_number], number=number
        )

    @property
    def n(self) -> int:
        return len(self.dia_object_id)

    def keys(self) -> dict[str, Any]:
        return {"dia_object_id": self.dia_object_id, "band": self.band}

    def total(self, values: Floats) -> Floats:
        """Return the sums of the values that are known."""
        return sums(self.number, np.nan_to_num(values), self.n)

    def count(self, values: Floats) -> Ints:
        return np.bincount(self.number[np.isfinite(values)], minlength=self.n)

    def mean(self, values: Floats) -> Floats:
        return _divided(self.total(values), self.count(values))

    def weighted_mean(self, values: Floats, errors: Floats) -> tuple[Floats, Floats]:
        """Return the sums of weights, and the means."""
        known = np.isfinite(values) & _is_error(errors)
        weights = np.where(known, _divided(np.ones(len(errors)), errors**2), 0.0)
        pivot = self.mean(np.where(known, values, np.nan))
        deviation = weights * (values - pivot[self.number])
        total = self.total(weights)
        return total, pivot + _divided(self.total(deviation), total)

    def extreme(self, ufunc: np.ufunc, values: Floats) -> Floats:
        found = np.full(self.n, np.nan)
        ufunc.at(found, self.number, values)
        return found

    def first_known(self, values: Floats) -> Ints:
        """Return the first row of each group that is known; -1 for none."""
        rows = np.full(self.n, -1)
        known = np.flatnonzero(np.isfinite(values))[::-1]
        rows[self.number[known]] = known
        return rows

    def last_known(self, values: Floats) -> Ints:
        rows = np.full(self.n, -1)
        known = np.flatnonzero(np.isfinite(values))
        rows[self.number[known]] = known
        return rows

    def max_slope(self, times: Floats, values: Floats) -> Floats:
        """Return the largest slope between successive values; rows are in order."""
        known = np.flatnonzero(np.isfinite(values))
        known = known[np.argsort(self.number[known], kind="stable")]
        number = self.number[known]
        slope = _divided(np.diff(values[known]), np.diff(times[known]))
        slope[np.diff(number) != 0] = np.nan
        found = np.full(self.n, np.nan)
        np.fmax.at(found, number[1:], slope)
        return found


def _picked(values: Floats, rows: Ints) -> Floats:
    picked: Floats = np.full(len(rows), np.nan)
    picked[rows >= 0] = values[rows[rows >= 0]]
    return picked


def _is_error(errors: Floats) -> Flags:
    known: Flags = np.isfinite(errors) & (errors > 0)
    return known
