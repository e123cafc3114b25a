"""Statistics of the light curves of DiaObjects, per band, that can be added to.

Means and sums of squares of two sets of fluxes are joined without going back to the
fluxes (Chan, Golub & LeVeque 1983, Am. Stat. 37, 242): no differences of large sums,
so that 10,000 fluxes lose no more digits than ten.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from streamdiff.model.catalogue_rows import ForcedRows, SourceRows
from streamdiff.model.rows import Flags, Floats, Ints, Rows, Texts, turns


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
        """Return the statistics of DiaSources, one row per DiaObject and band.

        They are added one after another in the order of time, so that all digits are
        those of a catalogue that was added to visit by visit.
        """
        rows = rows.take(np.lexsort((rows.dia_source_id, rows.midpoint_mjd_tai)))
        known = np.isfinite(rows.psf_flux)
        flux = np.where(known, rows.psf_flux, np.nan)
        time = np.where(known, rows.midpoint_mjd_tai, np.nan)
        weight = _weight(flux, rows.psf_flux_err)
        has_error = _is_error(rows.psf_flux_err)
        science = _weight(rows.science_flux, rows.science_flux_err)
        own: dict[str, Any] = {
            "n": known,
            "squares": np.zeros(len(rows)),
            "weight": weight,
            "weighted_mean": np.where(weight > 0, flux, np.nan),
            "n_errors": has_error,
            "error_mean": np.where(has_error, rows.psf_flux_err, np.nan),
            "first_mjd": time,
            "last_mjd": time,
            "science_weight": science,
            "science_mean": np.where(science > 0, rows.science_flux, np.nan),
        }
        same = ("mean", "minimum", "maximum", "first_flux", "last_flux")
        own |= dict.fromkeys(same, flux)
        return cls._of_each(rows.dia_object_id, rows.band, own)

    @classmethod
    def of_forced(cls, rows: ForcedRows) -> Self:
        """Return the statistics of forced sources, one row per DiaObject and band."""
        rows = rows.take(np.lexsort((rows.dia_forced_source_id, rows.midpoint_mjd_tai)))
        weight = _weight(rows.psf_flux, rows.psf_flux_err)
        own = {
            "forced_weight": weight,
            "forced_mean": np.where(weight > 0, rows.psf_flux, np.nan),
        }
        return cls._of_each(rows.dia_object_id, rows.band, own)

    @classmethod
    def _of_each(cls, ids: Ints, bands: Texts, values: Mapping[str, Any]) -> Self:
        """Return the statistics of single fluxes, added in their order."""
        groups = _Groups.of(ids, bands)
        numbered = {"dia_object_id": groups.number, "band": np.full(len(ids), "")}
        single = cls(**(_nothing(cls, len(ids)) | dict(values) | numbered))
        found = cls.empty()
        for rows in turns(groups.number):
            found = found.followed_by(single.take(rows))
        return replace(found, **groups.keys())

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
        values = _nothing(type(self), groups.n)
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


def _nothing(kind: type[BandStatistics], n: int) -> dict[str, Any]:
    """Return the columns, but the keys, of rows without a flux."""
    return {
        name: np.full(n, 0.0 if name in _SUMS else np.nan)
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


def _weight(values: Floats, errors: Floats) -> Floats:
    """Return 1 / error^2 of what is known with its error, and 0."""
    known = np.isfinite(values) & _is_error(errors)
    weight: Floats = np.divide(1, errors**2, out=np.zeros(len(errors)), where=known)
    return weight


def _is_error(errors: Floats) -> Flags:
    known: Flags = np.isfinite(errors) & (errors > 0)
    return known
