"""Where the pixels of one image fall on another."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from astropy.coordinates import SkyCoord, UnitSphericalRepresentation
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame
from numpy.typing import NDArray

# A WCS is evaluated at every 16th pixel, or closer where it bends: see `pixel_map`.
STEPS = (16, 8, 4, 2, 1)
TOLERANCE_PIXEL = 1e-3
# A solution of the inverse WCS is one only if it leads back to where it came from.
ROUND_TRIP_PIXEL = 0.01
CHECKS = 24
# Distance of the positions that tell where images overlap [pixel].
_COARSE = 64
# Newton steps of the inverse map, from one corner of an image to the other.
_INVERSIONS = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class PixelMap:
    """Positions on a source image, for every ``step``-th pixel of a target image.

    Attributes
    ----------
    x, y : ndarray of float64, shape (gy, gx)
        Source position [pixel] of the target pixel (i * step, j * step); NaN where
        there is none. The last nodes lie beyond the target's last pixels.
    step : int
        Distance of the nodes [target pixel]; linear in between.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    step: int

    @cached_property
    def jacobian(self) -> NDArray[np.float64]:
        """Return d(source x, y) / d(target x, y) at the nodes; shape (2, 2, gy, gx)."""
        return np.array([np.gradient(v, self.step)[::-1] for v in (self.x, self.y)])

    @property
    def area(self) -> NDArray[np.float64]:
        """Return the area of a target pixel [source pixel] at the nodes."""
        (xx, xy), (yx, yy) = self.jacobian
        area: NDArray[np.float64] = np.abs(xx * yy - xy * yx)
        return area

    def affine_at(
        self, x: float, y: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Return the affine map that follows this one around a target position.

        Returns
        -------
        tuple of ndarray or None
            The source position, shape (2,), and the Jacobian, shape (2, 2), from
            the nearest node that has both, also beyond the nodes; `None` if no node
            has.
        """
        node = self._nearest_known(x, y)
        if node is None:
            return None
        j, i = node
        offset = np.array([x - i * self.step, y - j * self.step])
        affine = self.jacobian[:, :, j, i]
        return np.array([self.x[j, i], self.y[j, i]]) + affine @ offset, affine

    def _nearest_known(self, x: float, y: float) -> tuple[int, int] | None:
        """Return row and column of the nearest node with a position and a Jacobian."""
        height, width = self._known.shape
        j = int(np.clip(np.rint(y / self.step), 0, height - 1))
        i = int(np.clip(np.rint(x / self.step), 0, width - 1))
        if self._known[j, i]:
            return j, i
        rows, columns = np.nonzero(self._known)
        if not rows.size:
            return None
        distance = np.hypot(columns * self.step - x, rows * self.step - y)
        nearest = distance.argmin()
        return int(rows[nearest]), int(columns[nearest])

    @cached_property
    def _known(self) -> NDArray[np.bool_]:
        """Return which nodes have a position and a Jacobian; shape (gy, gx)."""
        known: NDArray[np.bool_] = np.isfinite(self.x) & np.isfinite(self.y)
        return known & np.isfinite(self.jacobian).all(axis=(0, 1))

    def target_of(self, x: float, y: float) -> tuple[float, float]:
        """Return the target position of a source position [pixel].

        It follows the nodes, and beyond them the affine map of the nearest.

        Raises
        ------
        ValueError
            If the map has no position at all.
        """
        target = np.zeros(2)
        for _ in range(_INVERSIONS):
            local = self.affine_at(*target)
            if local is None:
                raise ValueError("a map without positions can not be inverted")
            source, affine = local
            target += np.linalg.solve(affine, (x, y) - source)
        return float(target[0]), float(target[1])


def pixel_map(source: WCS, target: WCS, shape: tuple[int, int]) -> PixelMap:
    """Return where the pixels of a target image fall on a source image.

    Parameters
    ----------
    source, target : astropy.wcs.WCS
        Celestial; distortions (SIP, TPV, ...) are followed.
    shape : tuple of int
        (height, width) of the target image.

    Notes
    -----
    The step is the largest of `STEPS` for which linear interpolation is good to
    1e-3 pixel in the middle of a sample of cells. Between two TAN projections at
    0.2 arcsec per pixel it is good to 1e-5 pixel at 16 pixels.
    """
    for step in STEPS:
        x, y = (np.arange((n - 1) // step + 2.0) * step for n in shape[::-1])
        nodes = transform(source, target, *np.meshgrid(x, y))
        if step == 1 or _bend(source, target, nodes, step) <= TOLERANCE_PIXEL:
            break
    return PixelMap(x=nodes[0], y=nodes[1], step=step)


def overlap(
    source: WCS,
    source_shape: tuple[int, int],
    target: WCS,
    target_shape: tuple[int, int],
) -> tuple[slice, slice] | None:
    """Return the rows and columns of a target image that a source image may reach.

    They hold all target pixels that fall on the source image, and up to some 100 px
    beside them; all if parts of the target have no position on the source. `None` if
    no pixel falls on it.
    """
    x, y = (np.linspace(0, n - 1, (n - 2) // _COARSE + 2) for n in target_shape[::-1])
    position = transform(source, target, *np.meshgrid(x, y))
    if not np.isfinite(position).all():
        return slice(0, target_shape[0]), slice(0, target_shape[1])
    # Of a pixel on the source, the four positions around are no farther from it.
    reach = sum(
        np.abs(np.diff(position, axis=axis)).max(axis=(1, 2), initial=1.0)
        for axis in (1, 2)
    )[:, np.newaxis, np.newaxis]
    size = np.array(source_shape[::-1])[:, np.newaxis, np.newaxis]
    near = ((position >= -reach) & (position <= size - 1 + reach)).all(axis=0)
    if not near.any():
        return None
    rows, columns = (
        places[near.any(axis=axis)][[0, -1]] for places, axis in ((y, 1), (x, 0))
    )
    top, left, bottom, right = (
        int(f(place))
        for f, places in ((np.floor, 0), (np.ceil, -1))
        for place in (rows[places], columns[places])
    )
    return slice(top, bottom + 1), slice(left, right + 1)


def transform(
    source: WCS, target: WCS, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the positions on a source image of positions on a target image.

    Returns
    -------
    ndarray of float64, shape (2, *x.shape)
        x and y [pixel]; NaN where the source image can not show that direction.
    """
    sky = _sky_in_frame_of(source, target, x.ravel(), y.ravel())
    position = np.array(source.all_world2pix(*sky, 0, quiet=True))
    back = np.array(source.all_pix2world(*position, 0))
    scale = np.sqrt(np.median(np.abs(np.linalg.det(source.pixel_scale_matrix))))
    apart = np.linalg.norm(_directions(*sky) - _directions(*back), axis=0)
    lost = ~(apart < np.radians(scale) * ROUND_TRIP_PIXEL)
    position[:, lost] = np.nan
    return position.reshape(2, *x.shape)


def _sky_in_frame_of(
    source: WCS, target: WCS, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    longitude, latitude = target.all_pix2world(x, y, 0)
    frames = [wcs_to_celestial_frame(wcs) for wcs in (target, source)]
    if not frames[0].is_equivalent_frame(frames[1]):
        sky = SkyCoord(longitude, latitude, unit="deg", frame=frames[0])
        sphere = sky.transform_to(frames[1]).represent_as(UnitSphericalRepresentation)
        longitude, latitude = sphere.lon.deg, sphere.lat.deg
    return longitude, latitude


def _directions(
    longitude: NDArray[np.float64], latitude: NDArray[np.float64]
) -> NDArray[np.float64]:
    lon, lat = np.radians(longitude), np.radians(latitude)
    return np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def _bend(source: WCS, target: WCS, nodes: NDArray[np.float64], step: int) -> float:
    """Return the error [pixel] of linear interpolation in the middle of cells."""
    rows, columns = (
        np.unique(np.linspace(0, n - 2, CHECKS).astype(int)) for n in nodes.shape[1:]
    )
    column, row = np.meshgrid(columns, rows)
    exact = transform(source, target, (column + 0.5) * step, (row + 0.5) * step)
    corners = [nodes[:, row + j, column + i] for j in (0, 1) for i in (0, 1)]
    error = np.abs(np.mean(corners, axis=0) - exact)
    return float(np.max(error[np.isfinite(error)], initial=0))
