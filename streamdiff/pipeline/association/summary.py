"""What alerts tell of a DiaObject: the fields of its Avro record."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from streamdiff.model import BandStatistics, DiaObjects
from streamdiff.model.rows import Floats

_ARCSEC = 3600.0


def summaries(
    objects: DiaObjects, statistics: BandStatistics
) -> dict[int, dict[str, Any]]:
    """Return the fields of each DiaObject, by id; missing values are NaN or absent.

    A summary is valid from the last DiaSource on.
    """
    shrink = np.cos(np.radians(objects.dec))
    ee, en, nn = objects.covariance()
    columns = {
        "diaObjectId": objects.dia_object_id,
        "validityStartMjdTai": objects.last_mjd,
        "ra": objects.ra,
        "raErr": np.sqrt(ee) / shrink / _ARCSEC,
        "dec": objects.dec,
        "decErr": np.sqrt(nn) / _ARCSEC,
        "ra_dec_Cov": en / shrink / _ARCSEC**2,
        "firstDiaSourceMjdTai": objects.first_mjd,
        "lastDiaSourceMjdTai": objects.last_mjd,
        "nDiaSources": objects.n_sources,
    }
    found = {row["diaObjectId"]: row for row in _rows(columns)}
    bands = zip(
        statistics.dia_object_id.tolist(), statistics.band.tolist(), strict=True
    )
    for (i, band), row in zip(bands, _rows(band_fields(statistics)), strict=True):
        found[i].update({f"{band}_{name}": value for name, value in row.items()})
    return found


def band_fields(statistics: BandStatistics) -> Mapping[str, Any]:
    """Return the quantities of a band, by name without the band."""
    several = statistics.n > 1
    freedom = np.where(several, statistics.n - 1, 1)
    spread = np.sqrt(statistics.squares / freedom)
    return {
        "psfFluxMean": statistics.weighted_mean,
        "psfFluxMeanErr": _error(statistics.weight),
        "psfFluxSigma": np.where(several, spread, np.nan),
        "psfFluxNdata": statistics.n,
        "fpFluxMean": statistics.forced_mean,
        "fpFluxMeanErr": _error(statistics.forced_weight),
        "scienceFluxMean": statistics.science_mean,
        "scienceFluxMeanErr": _error(statistics.science_weight),
        "psfFluxMin": statistics.minimum,
        "psfFluxMax": statistics.maximum,
        "psfFluxMaxSlope": statistics.max_slope,
        "psfFluxErrMean": statistics.error_mean,
    }


def _error(weight: Floats) -> Floats:
    """Return the standard errors of weighted means; NaN where nothing was weighed."""
    error: Floats = np.full(len(weight), np.nan)
    error[weight > 0] = weight[weight > 0] ** -0.5
    return error


def _rows(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    listed = zip(*(values.tolist() for values in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in listed]
