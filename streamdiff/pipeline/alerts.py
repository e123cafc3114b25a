"""From the table of a visit to its alerts."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from streamdiff.errors import PluginContractError
from streamdiff.imaging.cutouts import cut_each, local_wcs
from streamdiff.model import (
    Alert,
    Column,
    DiaSources,
    Provenance,
    TemplateUse,
    VisitReady,
    dia_source_ids,
)
from streamdiff.stages import Images

# The smallest holds a PSF and some sky; the largest the trail of what moves 10
# degrees in a day during 30 s, at 0.2 arcsec per pixel, and some sky.
MIN_SIDE, MAX_SIDE = 31, 103

IDENTITY_COLUMNS = (
    Column("diaSourceId", "i8", "", "Visit 41 bits, detector 8 bits, rank 14 bits"),
    Column("visit", "i8", "", "Identifier of the visit"),
    Column("detector", "i4", "", "Identifier of the detector"),
    Column("band", "U", "", "Abstract passband"),
    Column("midpointMjdTai", "f8", "d", "Time of mid-exposure, MJD, TAI"),
)
SKY_COLUMNS = (
    Column("ra", "f8", "deg", "Right ascension of the centroid, ICRS"),
    Column("dec", "f8", "deg", "Declination of the centroid, ICRS"),
)


def identified(event: VisitReady, sources: DiaSources, wcs: WCS) -> DiaSources:
    """Return the table with ids, the fields of the exposure, and sky positions.

    Sky positions that a plugin has measured are kept; all others are those of x, y.
    A part of a table that has them keeps its ids, which tell the rank in the whole.

    Raises
    ------
    PluginContractError
        If a position is not finite.
    """
    x, y = sources["x"], sources["y"]
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise PluginContractError(
            f"{event.exposure_id}: x and y of a DiaSource must be finite; where no "
            "centroid can be measured the peak is kept"
        )
    if all(column.name in sources for column in (*IDENTITY_COLUMNS, *SKY_COLUMNS)):
        return sources
    n = len(sources)
    sources = sources.with_columns(
        IDENTITY_COLUMNS,
        {
            "diaSourceId": dia_source_ids(event.exposure_id, x, y),
            "visit": np.full(n, event.visit),
            "detector": np.full(n, event.detector),
            "band": np.full(n, event.band),
            "midpointMjdTai": np.full(n, event.midpoint_mjd_tai),
        },
    )
    return sources.with_columns(SKY_COLUMNS, _sky_positions(sources, wcs))


def _sky_positions(sources: DiaSources, wcs: WCS) -> dict[str, NDArray[np.float64]]:
    """Return positions [deg]: as measured or, failing that, as the WCS gives them."""
    sky = wcs.pixel_to_world(sources["x"], sources["y"]).icrs
    ra, dec = np.atleast_1d(sky.ra.deg), np.atleast_1d(sky.dec.deg)
    if "ra" in sources and "dec" in sources:
        measured = np.isfinite(sources["ra"]) & np.isfinite(sources["dec"])
        ra = np.where(measured, sources["ra"], ra)
        dec = np.where(measured, sources["dec"], dec)
    return {"ra": ra, "dec": dec}


def make_alerts(
    event: VisitReady,
    sources: DiaSources,
    images: Images,
    uses: tuple[TemplateUse, ...],
    provenance: Provenance,
) -> tuple[Alert, ...]:
    """Return one alert per DiaSource, in the order of the table.

    Parameters
    ----------
    event : VisitReady
    sources : DiaSources
        Columns of `identified` are added.
    images : Images
        What the cutouts are taken from.
    uses : tuple of TemplateUse
    provenance : Provenance

    Raises
    ------
    PluginContractError
        If a position is not finite.
    """
    if not len(sources):
        return ()
    wcs = images.difference.wcs
    sources = identified(event, sources, wcs)
    x, y, sides = sources["x"], sources["y"], cutout_sides(sources["bboxSize"])
    places = list(zip(x.tolist(), y.tolist(), strict=True))
    local = local_wcs(wcs, x, y, sides)
    cutouts = (
        cut_each(planes, places, sides.tolist(), local)
        for planes in (images.difference, images.science, images.template)
    )
    return tuple(
        Alert(
            event_id=event.event_id,
            dia_source=row,
            cutout_difference=difference,
            cutout_science=science,
            cutout_template=template,
            templates=uses,
            provenance=provenance,
            photometric=images.difference.photometric,
        )
        for row, difference, science, template in zip(
            _rows(sources), *cutouts, strict=True
        )
    )


def cutout_sides(bbox_size: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Return the odd side [pixel] of the cutout around each footprint."""
    sides: NDArray[np.int64] = np.clip(bbox_size, MIN_SIDE, MAX_SIDE).astype(np.int64)
    return sides | 1


def _rows(sources: DiaSources) -> list[Mapping[str, Any]]:
    """Return the table row by row, as Python values; `None` where one is missing."""
    names = [column.name for column in sources.columns]
    columns = [_python_values(sources[name]) for name in names]
    return [
        dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)
    ]


def _python_values(column: NDArray[Any]) -> Sequence[Any]:
    values: list[Any] = column.tolist()
    if column.dtype.kind != "f" or np.isfinite(column).all():
        return values
    return [value if math.isfinite(value) else None for value in values]
