"""What the catalogue keeps of DiaSources and forced sources: light curves."""

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from streamdiff.model.dia_sources import DiaSources
from streamdiff.model.rows import Floats, Ints, Rows, Texts

# In place of an id: none.
NO_OBJECT = 0
# Columns of DiaSources, by what they are called here.
_COLUMNS = MappingProxyType(
    {
        "dia_source_id": "diaSourceId",
        "midpoint_mjd_tai": "midpointMjdTai",
        "band": "band",
        "ra": "ra",
        "dec": "dec",
        "ra_err": "raErr",
        "dec_err": "decErr",
        "ra_dec_cov": "ra_dec_Cov",
        "psf_flux": "psfFlux",
        "psf_flux_err": "psfFluxErr",
        "science_flux": "scienceFlux",
        "science_flux_err": "scienceFluxErr",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourceRows(Rows):
    """DiaSources, as far as DiaObjects are made of them; see the Avro schema.

    Attributes
    ----------
    dia_source_id : ndarray of int64
    dia_object_id, ss_object_id : ndarray of int64
        0 for none.
    midpoint_mjd_tai : ndarray of float64
    band : ndarray of str
    ra, dec : ndarray of float64
        [deg].
    ra_err, dec_err, ra_dec_cov : ndarray of float64
        [deg, deg, deg**2]; ``ra_err`` is not times the cosine of ``dec``. NaN where
        they are not known.
    psf_flux, psf_flux_err, science_flux, science_flux_err : ndarray of float64
        [nJy]; NaN where they are not known.
    """

    dia_source_id: Ints
    dia_object_id: Ints
    ss_object_id: Ints
    midpoint_mjd_tai: Floats
    band: Texts
    ra: Floats
    dec: Floats
    ra_err: Floats
    dec_err: Floats
    ra_dec_cov: Floats
    psf_flux: Floats
    psf_flux_err: Floats
    science_flux: Floats
    science_flux_err: Floats

    @classmethod
    def of_table(cls, sources: DiaSources) -> "SourceRows":
        """Return DiaSources that belong to nothing yet; they have sky positions."""
        unknown = np.full(len(sources), np.nan)
        values = {
            name: sources.values.get(column, unknown)
            for name, column in _COLUMNS.items()
        }
        nothing = np.full(len(sources), NO_OBJECT)
        return cls(dia_object_id=nothing, ss_object_id=nothing, **values)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ForcedRows(Rows):
    """Fluxes at the positions of DiaObjects, detected or not; see the Avro schema.

    Attributes
    ----------
    dia_forced_source_id, dia_object_id, visit, detector : ndarray of int64
    midpoint_mjd_tai : ndarray of float64
    band : ndarray of str
    ra, dec : ndarray of float64
        Where it was measured [deg].
    psf_flux, psf_flux_err, science_flux, science_flux_err : ndarray of float64
        [nJy]; NaN where they could not be measured.
    time_processed_mjd_tai : ndarray of float64
        NaN where it is not known.
    """

    dia_forced_source_id: Ints
    dia_object_id: Ints
    visit: Ints
    detector: Ints
    midpoint_mjd_tai: Floats
    band: Texts
    ra: Floats
    dec: Floats
    psf_flux: Floats
    psf_flux_err: Floats
    science_flux: Floats
    science_flux_err: Floats
    time_processed_mjd_tai: Floats
