"""The three cutouts of an alert as pictures: science, template, difference."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.visualization import ZScaleInterval
from numpy.typing import NDArray

from streamdiff.adapters.fits.structure import inflate
from streamdiff.app.pages.pictures import Pixels, gray, row_png
from streamdiff.errors import UnreadableImageError

PANELS = ("science", "template", "difference")
# Side of a panel where an alert has no cutout [pixel].
_BLANK_SIDE = 31

Image = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Triplet:
    """The cutouts of an alert.

    Attributes
    ----------
    science, template, difference : ndarray of float64, shape (ny, nx)
        NaN where there are no data, or no cutout at all.
    """

    science: Image
    template: Image
    difference: Image

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Triplet":
        """Return the cutouts of an alert's record.

        Raises
        ------
        UnreadableImageError
            If a cutout is no FITS image.
        """
        images = {
            name: decode_cutout(record.get(f"cutout{name.title()}")) for name in PANELS
        }
        known = [image.shape for image in images.values() if image is not None]
        blank = np.full(known[0] if known else (_BLANK_SIDE, _BLANK_SIDE), np.nan)
        return cls(**{n: blank if i is None else i for n, i in images.items()})

    def panels(self) -> Iterator[Pixels]:
        """Yield the images in shades of gray, each in a scale of its own."""
        for name in PANELS:
            image: Image = getattr(self, name)
            yield gray(image, *_zscale(image))

    def png(self) -> bytes:
        """Return the images side by side."""
        panels = list(self.panels())
        highest = max(len(panel) for panel in panels)
        return row_png([_filled_up(panel, highest) for panel in panels])


def decode_cutout(content: bytes | None) -> Image | None:
    """Return the image of a cutout; `None` where there is none.

    Raises
    ------
    UnreadableImageError
        If it is no FITS image.
    """
    if not content:
        return None
    try:
        plain = inflate(content, "a cutout")
        with fits.open(BytesIO(plain), memmap=False) as hdus:
            planes = (hdu.data for hdu in hdus if hdu.data is not None)
            image = np.asarray(next(planes), float)
    except Exception as err:  # hostile bytes: astropy may raise anything
        raise UnreadableImageError(
            f"a cutout of {len(content)} bytes is no FITS image: {err!s:.200}"
        ) from err
    if image.ndim != 2:
        raise UnreadableImageError(f"a cutout has {image.ndim} axes, not 2")
    return image


def _zscale(image: Image) -> tuple[float, float]:
    known = image[np.isfinite(image)]
    if not known.size:
        return 0.0, 1.0
    low, high = ZScaleInterval().get_limits(known)
    return float(low), float(high)


def _filled_up(panel: Pixels, height: int) -> Pixels:
    missing = height - len(panel)
    return np.pad(panel, ((0, missing), (0, 0), (0, 0)), constant_values=255)
