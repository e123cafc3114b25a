"""Pictures of small images, pixel for pixel."""

from base64 import b64encode
from collections.abc import Iterable
from io import BytesIO

import numpy as np
from matplotlib import colormaps
from matplotlib.image import imsave
from numpy.typing import NDArray

ENLARGED = 3
GAP = 4
_WHITE = 255
# Where there is no value: no shade of gray.
_BLANK = (205, 219, 235)

Pixels = NDArray[np.uint8]


def gray(stamp: NDArray[np.floating], low: float, high: float) -> Pixels:
    """Return an image in shades from black at low to white at high.

    Parameters
    ----------
    stamp : ndarray, shape (ny, nx)
        Values that are not finite are pale blue.
    low, high : float

    Returns
    -------
    ndarray of uint8, shape (ny, nx, 3)
    """
    known = np.isfinite(stamp)
    scaled = np.clip((stamp - low) / max(high - low, 1e-30), 0, 1)
    pixels: Pixels = colormaps["gray"](np.where(known, scaled, 0), bytes=True)[..., :3]
    return np.where(known[..., np.newaxis], pixels, np.array(_BLANK, np.uint8))


def row_png(panels: Iterable[Pixels], *, enlarged: int = ENLARGED) -> bytes:
    """Return panels of one height, side by side and enlarged, as PNG.

    The first row of each is at the bottom.
    """
    return png(np.hstack([_framed(panel, enlarged) for panel in panels]))


def data_uri(png: bytes) -> str:
    """Return a picture as text that a page can hold."""
    return f"data:image/png;base64,{b64encode(png).decode()}"


def _framed(panel: Pixels, enlarged: int) -> Pixels:
    large = panel.repeat(enlarged, axis=0).repeat(enlarged, axis=1)
    return np.pad(large, ((0, 0), (0, GAP), (0, 0)), constant_values=_WHITE)


def png(pixels: Pixels) -> bytes:
    """Return a picture as PNG; its first row is at the bottom."""
    buffer = BytesIO()
    imsave(buffer, pixels, origin="lower")
    return buffer.getvalue()
