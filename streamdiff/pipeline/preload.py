"""The templates of an exposure that is announced, loaded before it comes."""

from collections.abc import Sequence
from math import ceil

import numpy as np
from astropy.wcs import WCS

from streamdiff.imaging.skymap import SAMPLING_PIXEL, Tessellation
from streamdiff.model import PreloadHint, TemplateId
from streamdiff.ports import TemplateReader

# A detector touches 4 patches, of 300 MB each, and a pointing is never exact.
MAX_PATCHES = 16
# A field is sampled so densely, and at least in so many steps to the side: patches
# are larger.
_STEP_DEG, _MIN_STEPS = 0.05, 8


def preload(hint: PreloadHint, store: TemplateReader, skymap: Tessellation) -> int:
    """Load the newest templates of an announced field, and return how many.

    They stay in the memory of the store: a visit that comes soon reads none again.
    The nearest patches come last, since a full memory drops the oldest first; the
    `MAX_PATCHES` nearest are all that is looked at.
    """
    n_loaded = 0
    for tract, patch in reversed(_nearest(hint, skymap)):
        template_id = TemplateId(
            name=hint.template_name, tract=tract, patch=patch, band=hint.band
        )
        version = store.newest(template_id)
        if version is not None:
            n_loaded += store.load(template_id, version) is not None
    return n_loaded


def _nearest(hint: PreloadHint, skymap: Tessellation) -> Sequence[tuple[int, int]]:
    """Return the patches of a field, the nearest to its centre first."""
    field, shape = _field(hint)

    def distance(place: tuple[int, int]) -> float:
        ny, nx = skymap.shape(*place)
        centre = skymap.wcs(*place).all_pix2world((nx - 1) / 2, (ny - 1) / 2, 0)
        x, y = field.all_world2pix(*centre, 0)
        return float(np.hypot(x - (shape[1] - 1) / 2, y - (shape[0] - 1) / 2))

    touched = skymap.patches_touching(field, shape)
    return sorted(touched, key=distance)[:MAX_PATCHES]


def _field(hint: PreloadHint) -> tuple[WCS, tuple[int, int]]:
    """Return the tangent plane of a field, and its shape in coarse pixels."""
    steps = max(_MIN_STEPS, ceil(2 * hint.radius_deg / _STEP_DEG))
    side = steps * SAMPLING_PIXEL
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [hint.ra % 360, hint.dec]
    wcs.wcs.crpix = [(side + 1) / 2] * 2
    wcs.wcs.cdelt = np.array([-1, 1]) * 2 * hint.radius_deg / side
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.set()
    return wcs, (side, side)
