"""What alerts tell of DiaSources that are known objects of the solar system."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.coordinates import SkyCoord, get_sun
from astropy.time import Time

from streamdiff.model import NO_OBJECT, DiaObjects, SourceRows
from streamdiff.model.ephemerides import Ephemerides
from streamdiff.model.rows import Ints
from streamdiff.model.tangent_plane import offsets_arcsec


def ss_sources(
    rows: SourceRows, ephemerides: Ephemerides, mjd_tai: float
) -> Mapping[int, Mapping[str, Any]]:
    """Return the fields of the Avro records of rows that are such objects, by row.

    Parameters
    ----------
    rows : SourceRows
        Of one exposure, with what they belong to.
    ephemerides : Ephemerides
        They tell nothing of distances: what takes these is left out.
    mjd_tai : float
        Time of mid-exposure.

    Notes
    -----
    Ecliptic coordinates are those of the true equinox of J2000, as LSST has them.
    """
    named = np.flatnonzero(rows.ss_object_id != NO_OBJECT)
    if not named.size:
        return {}
    moving = ephemerides.at(mjd_tai)
    place = np.searchsorted(moving.dia_object_id, rows.ss_object_id[named])
    rate_east, rate_north = (rate[place] for rate in ephemerides.rates(mjd_tai))
    mine, moving = rows.take(named), moving.take(place)
    sky = SkyCoord(mine.ra, mine.dec, unit="deg", frame="icrs")
    ecliptic, galactic = sky.barycentrictrueecliptic, sky.galactic
    sun = get_sun(Time(mjd_tai, format="mjd", scale="tai"))
    east, north = offsets_arcsec(moving.ra, moving.dec, mine.ra, mine.dec)
    rate = np.hypot(rate_east, rate_north)
    # What stands still has no track.
    along_east, along_north = (
        np.divide(part, rate, out=np.full(len(rate), np.nan), where=rate > 0)
        for part in (rate_east, rate_north)
    )
    columns = {
        "diaSourceId": mine.dia_source_id,
        "ssObjectId": mine.ss_object_id,
        "eclLambda": ecliptic.lon.deg,
        "eclBeta": ecliptic.lat.deg,
        "galLon": galactic.l.deg,
        "galLat": galactic.b.deg,
        "elongation": sun.separation(sky.transform_to(sun.frame)).deg,
        "ephRa": moving.ra,
        "ephDec": moving.dec,
        "ephRate": rate,
        "ephRateRa": rate_east,
        "ephRateDec": rate_north,
        "ephOffset": np.hypot(east, north),
        "ephOffsetRa": east,
        "ephOffsetDec": north,
        "ephOffsetAlongTrack": east * along_east + north * along_north,
        "ephOffsetCrossTrack": north * along_east - east * along_north,
        "diaDistanceRank": _ranks(rows, named, moving),
    }
    listed = zip(*(np.asarray(v).tolist() for v in columns.values()), strict=True)
    return {
        row: dict(zip(columns, values, strict=True))
        for row, values in zip(named.tolist(), listed, strict=True)
    }


def _ranks(rows: SourceRows, named: Ints, moving: DiaObjects) -> list[int]:
    """Return of each object which row its own is, the nearest being the first."""
    ranks = []
    for place, row in enumerate(named.tolist()):
        one = slice(place, place + 1)
        offsets = offsets_arcsec(moving.ra[one], moving.dec[one], rows.ra, rows.dec)
        distance = np.hypot(*offsets)
        ranks.append(1 + int(np.count_nonzero(distance < distance[row])))
    return ranks
