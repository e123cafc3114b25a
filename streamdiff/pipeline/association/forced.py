"""Forced photometry: fluxes at the positions of known DiaObjects."""

from typing import Protocol

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from streamdiff.imaging.point_source import forced_flux
from streamdiff.imaging.sky_pixels import pixels_of_image, sky_pixels
from streamdiff.model import (
    DiaObjects,
    Difference,
    Exposure,
    ForcedRows,
    MaskPlane,
    VisitReady,
)
from streamdiff.model.ids import RANK_BITS, source_id_range

# The pixels that no measurement uses.
_EXCLUDED = (
    MaskPlane.BAD
    | MaskPlane.SAT
    | MaskPlane.CR
    | MaskPlane.NO_DATA
    | MaskPlane.SAT_TEMPLATE
)


class ForcedImages(Protocol):
    """What forced photometry is done on, such as `streamdiff.stages.Images`."""

    @property
    def difference(self) -> Difference:
        """Return the difference."""
        ...

    @property
    def science(self) -> Exposure:
        """Return the science image, on the same pixels."""
        ...


def forced_sources(
    event: VisitReady,
    images: ForcedImages,
    objects: DiaObjects,
    processed_mjd_tai: float = np.nan,
) -> ForcedRows:
    """Return the fluxes at all DiaObjects that lie on the images, where there are any.

    Those on the science image are brought to the scale of the difference. Where ids
    do not suffice for all DiaObjects, those seen longest ago are left out.
    """
    difference = images.difference
    touched = pixels_of_image(difference.wcs, difference.shape)
    near = np.isin(sky_pixels(objects.ra, objects.dec), touched)
    objects = objects.take(near)
    if not len(objects):
        return ForcedRows.empty()
    x, y = difference.wcs.world_to_pixel(
        SkyCoord(objects.ra * u.deg, objects.dec * u.deg, frame="icrs")
    )
    ny, nx = difference.shape
    inside = (x >= -0.5) & (x < nx - 0.5) & (y >= -0.5) & (y < ny - 0.5)  # noqa: PLR2004
    inside[inside] = _latest(objects.take(inside))
    objects, x, y = objects.take(inside), x[inside], y[inside]
    if not len(objects):
        return ForcedRows.empty()
    change = forced_flux(difference, x, y, exclude=_EXCLUDED)
    science = forced_flux(images.science, x, y, exclude=_EXCLUDED)
    first, _ = source_id_range(event.visit, event.detector)
    factor, n = difference.science_factor, len(objects)
    rows = ForcedRows(
        dia_forced_source_id=first + np.argsort(np.argsort(objects.dia_object_id)),
        dia_object_id=objects.dia_object_id,
        visit=np.full(n, event.visit),
        detector=np.full(n, event.detector),
        midpoint_mjd_tai=np.full(n, event.midpoint_mjd_tai),
        band=np.full(n, event.band),
        ra=objects.ra,
        dec=objects.dec,
        psf_flux=change.flux,
        psf_flux_err=change.flux_error,
        science_flux=factor * science.flux,
        science_flux_err=factor * science.flux_error,
        time_processed_mjd_tai=np.full(n, processed_mjd_tai),
    )
    return rows.take(np.isfinite(rows.psf_flux) | np.isfinite(rows.science_flux))


def _latest(objects: DiaObjects) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Return which DiaObjects get an id: as many as there are, the latest first."""
    order = np.lexsort((objects.dia_object_id, -objects.last_mjd))
    chosen = np.zeros(len(objects), bool)
    chosen[order[: 1 << RANK_BITS]] = True
    return chosen
