"""Small images around positions, each with a WCS and a PSF of its own."""

from collections.abc import Iterator, Sequence

import numpy as np
from astropy.wcs import WCS
from numpy.typing import ArrayLike, NDArray

from streamdiff.errors import InvalidExposureError
from streamdiff.model import (
    CoaddPsf,
    ConstantPsf,
    Difference,
    Exposure,
    GridPsf,
    MaskPlane,
    PolynomialPsf,
    Psf,
)
from streamdiff.model.psf import nearest_pixel

# Half the step of the numerical Jacobian [pixel]: distortions are smooth over a
# pixel, and the rounding of degrees stays below 1e-9 of a pixel.
HALF_STEP = 0.5


def cut(
    planes: Exposure | Difference,
    x: float,
    y: float,
    side: int,
    *,
    wcs: WCS | None = None,
) -> Exposure:
    """Return the square around the pixel nearest to a position.

    Parameters
    ----------
    planes : Exposure or Difference
    x, y : float
        Centre [pixel]; may lie outside the image.
    side : int
        Odd number of pixels.
    wcs : astropy.wcs.WCS, optional
        That of `local_wcs`, where several images share it.

    Returns
    -------
    Exposure
        Beyond the image, NO_DATA is set, the image is NaN and the variance
        infinite. The PSF is that at the position, centred on its stamp; the
        covariance factor is that of the nearest pixel of the image.
    """
    world = local_wcs(planes.wcs, x, y, side)[0] if wcs is None else wcs
    return _cut(planes, (x, y), side, world, _psf_at(planes.psf, x, y))


def cut_each(
    planes: Exposure | Difference,
    places: Sequence[tuple[float, float]],
    sides: Sequence[int],
    wcs: Sequence[WCS],
) -> Iterator[Exposure]:
    """Yield what `cut` returns for each position, faster.

    Parameters
    ----------
    planes : Exposure or Difference
    places : sequence of (x, y)
        Centres [pixel].
    sides : sequence of int
        Odd numbers of pixels.
    wcs : sequence of astropy.wcs.WCS
        Those of `local_wcs`.
    """
    psfs = _psfs_at(planes.psf, places)
    for place, side, world, psf in zip(places, sides, wcs, psfs, strict=True):
        yield _cut(planes, place, side, world, psf)


def _cut(
    planes: Exposure | Difference,
    place: tuple[float, float],
    side: int,
    wcs: WCS,
    psf: ConstantPsf,
) -> Exposure:
    exposed = planes if isinstance(planes, Exposure) else None
    image, variance, mask = _planes_at(planes, *_corner(*place, side), side)
    return Exposure(
        id=planes.id,
        image=image,
        variance=variance,
        mask=mask,
        wcs=wcs,
        psf=psf,
        midpoint_mjd_tai=exposed.midpoint_mjd_tai if exposed else np.nan,
        exposure_time_s=exposed.exposure_time_s if exposed else np.nan,
        photometric=planes.photometric,
        covariance_factor=_factor_at(planes, *place),
    )


def _planes_at(
    planes: Exposure | Difference, left: int, bottom: int, side: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    """Return image, variance and mask of a square, wherever it is."""
    ny, nx = planes.shape
    if 0 <= left <= nx - side and 0 <= bottom <= ny - side:  # as nearly all are
        here = slice(bottom, bottom + side), slice(left, left + side)
        return (
            planes.image[here].copy(),
            planes.variance[here].copy(),
            planes.mask[here].copy(),
        )
    within = _overlap(bottom, side, ny), _overlap(left, side, nx)
    source = _moved(within[0], bottom), _moved(within[1], left)
    image = np.full((side, side), np.nan, np.float32)
    variance = np.full((side, side), np.inf, np.float32)
    mask = np.full((side, side), MaskPlane.NO_DATA.value, np.int32)
    image[within] = planes.image[source]
    variance[within] = planes.variance[source]
    mask[within] = planes.mask[source]
    return image, variance, mask


def local_wcs(wcs: WCS, x: ArrayLike, y: ArrayLike, side: ArrayLike) -> tuple[WCS, ...]:
    """Return the tangent-plane WCS of each cutout.

    The projection is gnomonic about the position, in ICRS; the CD matrix is the
    Jacobian there, so that distortions of the image are kept to first order.

    Parameters
    ----------
    wcs : astropy.wcs.WCS
        WCS of the image.
    x, y : array_like, shape (n,)
        Positions on the image [pixel].
    side : array_like of int, shape (n,)
        Sides of the cutouts, odd.

    Raises
    ------
    InvalidExposureError
        If a position has no coordinates on the sky.
    """
    x, y, side = (np.atleast_1d(v) for v in (x, y, side))
    if not x.size:
        return ()
    centres, jacobians = _tangents(wcs, x, y)
    corners = np.array([_corner(*row) for row in zip(x, y, side, strict=True)])
    pixels = np.stack((x, y), axis=-1) - corners
    return tuple(map(_tangent_wcs, centres, jacobians, pixels))


def _corner(x: float, y: float, side: int) -> tuple[int, int]:
    """Return the column and row of the first pixel of a cutout."""
    column, row = nearest_pixel(x, y)
    return column - side // 2, row - side // 2


def _overlap(first: int, side: int, size: int) -> slice:
    """Return the part of ``range(first, first + side)`` inside ``range(size)``."""
    # plain Python: thousands are cut per visit, and numpy's clip is slow on scalars
    return slice(min(max(-first, 0), side), min(max(size - first, 0), side))


def _moved(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)


def _psf_at(psf: Psf, x: float, y: float) -> ConstantPsf:
    return psf if isinstance(psf, ConstantPsf) else ConstantPsf(psf.centred_at(x, y))


def _psfs_at(psf: Psf, places: Sequence[tuple[float, float]]) -> Iterator[ConstantPsf]:
    """Yield what `_psf_at` returns for each position.

    Each is a product of its own, not a row of one for all, whose last digits would
    depend on the other positions.
    """
    found = None
    if places and not isinstance(psf, ConstantPsf):
        found = _parts_at(psf, *np.transpose(places))
    if found is None:
        yield from (_psf_at(psf, x, y) for x, y in places)
        return
    weights, parts = found
    flat = parts.reshape(len(parts), -1)
    for row in np.ascontiguousarray(weights):
        here = np.flatnonzero(row)  # parts of a coadd may be elsewhere
        stamp = row @ flat if len(here) == len(row) else row[here] @ flat[here]
        yield ConstantPsf(stamp.reshape(psf.shape))


def _parts_at(
    psf: Psf, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return weights, shape (n, k), of stamps, shape (k, ky, kx), that sum to a PSF.

    `None` if it is none of those that are such sums.
    """
    match psf:
        case ConstantPsf():
            return np.ones((len(x), 1)), psf.stamp[np.newaxis]
        case GridPsf() | PolynomialPsf():
            return psf.parts_at(x, y)
        case CoaddPsf():
            found = [_parts_at(c.psf, x, y) for c in psf.components]
            known = [parts for parts in found if parts is not None]
            if len(known) < len(found):
                return None
            shares = psf.shares_at(x, y)
            weights = [
                s[:, np.newaxis] * w for s, (w, _) in zip(shares, known, strict=True)
            ]
            stamps = [_padded(part, psf.shape) for _, part in known]
            return np.hstack(weights), np.concatenate(stamps)
    return None


def _padded(stamps: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return stamps of odd sides with zeros around them."""
    margins = [
        ((n - m) // 2,) * 2 for n, m in zip(shape, stamps.shape[1:], strict=True)
    ]
    return np.pad(stamps, [(0, 0), *margins]) if any(map(any, margins)) else stamps


def _factor_at(planes: Exposure | Difference, x: float, y: float) -> float:
    factor = planes.covariance_factor
    if isinstance(factor, np.ndarray):
        column, row = nearest_pixel(x, y)
        ny, nx = factor.shape
        return float(factor[np.clip(row, 0, ny - 1), np.clip(column, 0, nx - 1)])
    return factor


def _tangents(
    wcs: WCS, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return positions [deg], shape (n, 2), and Jacobians [deg/px], (n, 2, 2)."""
    dx, dy = HALF_STEP * np.array([[0, 1, -1, 0, 0], [0, 0, 0, 1, -1]])
    sky = wcs.pixel_to_world(x + dx[:, np.newaxis], y + dy[:, np.newaxis]).icrs
    ra, dec = sky.ra.rad, sky.dec.rad
    if not (np.isfinite(ra).all() and np.isfinite(dec).all()):
        raise InvalidExposureError("the WCS gives no coordinates for a DiaSource")
    # Gnomonic projection: Calabretta & Greisen 2002, A&A 395, 1077, section 5.1.3
    from_centre = ra - ra[0]
    cosine = np.sin(dec[0]) * np.sin(dec)
    cosine += np.cos(dec[0]) * np.cos(dec) * np.cos(from_centre)
    xi = np.cos(dec) * np.sin(from_centre) / cosine
    eta = np.cos(dec[0]) * np.sin(dec)
    eta -= np.sin(dec[0]) * np.cos(dec) * np.cos(from_centre)
    plane = np.degrees(np.stack((xi, eta / cosine)))
    by_x = (plane[:, 1] - plane[:, 2]) / (2 * HALF_STEP)
    by_y = (plane[:, 3] - plane[:, 4]) / (2 * HALF_STEP)
    jacobians = np.moveaxis(np.stack((by_x, by_y), axis=1), -1, 0)
    return np.degrees(np.stack((ra[0], dec[0]), axis=-1)), jacobians


def _tangent_wcs(
    centre: NDArray[np.float64],
    jacobian: NDArray[np.float64],
    pixel: NDArray[np.float64],
) -> WCS:
    wcs = WCS(naxis=2, fix=False)  # there are no foreign keywords to repair
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.crval = centre
    wcs.wcs.crpix = pixel + 1  # FITS counts from 1
    wcs.wcs.cd = jacobian
    return wcs
