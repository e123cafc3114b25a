"""Cutouts of alerts as FITS, written by hand: thousands have to be made per second.

The layout is that of `astropy.nddata.CCDData`: pixels in the primary HDU, then
UNCERT (variance), MASK and PSFIMAGE.
"""

import zlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from streamdiff.adapters.fits.cutout_header import (
    corner_cards,
    mask_header,
    primary_header,
    psf_header,
    uncertainty_header,
    world_cards,
)
from streamdiff.adapters.fits.planes import NANOJANSKY, UNCALIBRATED
from streamdiff.adapters.fits.structure import BLOCK
from streamdiff.model import Exposure, UnknownPsf

# Pixels are mostly noise: more effort gains nothing.
_LEVEL = 1


def encode_cutouts(
    cutouts: Iterable[Exposure | None],
    *,
    corner: tuple[int, int] | None = None,
    compressed: bool = False,
) -> list[bytes | None]:
    """Return the cutouts of an alert as the bytes of FITS files.

    Parameters
    ----------
    cutouts : iterable of Exposure or None
        Of one position.
    corner : tuple of int, optional
        Column and row of their first pixel on the image, for ``CUTMINX`` and
        ``CUTMINY``; from 0.
    compressed : bool
        Whether the files are gzipped.

    Returns
    -------
    list of bytes or None
        See `encode_cutout`; `None` for `None`.
    """
    # they share their WCS, and its cards are a good part of the work
    world: dict[tuple[int, tuple[int, int]], bytes] = {}
    encoded: list[bytes | None] = []
    for cutout in cutouts:
        if cutout is None:
            encoded.append(None)
            continue
        key = id(cutout.wcs), cutout.shape
        if key not in world:
            world[key] = corner_cards(corner) + world_cards(cutout)
        content = _file(cutout, world[key])
        encoded.append(_gzipped(content) if compressed else content)
    return encoded


def encode_cutout(cutout: Exposure) -> bytes:
    """Return a cutout as the bytes of a FITS file.

    HDUs are the image, UNCERT (its variance), MASK, and PSFIMAGE: the PSF at the
    centre, where it is known. `astropy.nddata.CCDData.read` reads all of them.
    """
    return _file(cutout, world_cards(cutout))


def _file(cutout: Exposure, world: bytes) -> bytes:
    ny, nx = cutout.shape
    unit = NANOJANSKY if cutout.photometric else UNCALIBRATED
    parts = [
        primary_header(nx, ny, unit, world),
        *_pixels(cutout.image, ">f4"),
        uncertainty_header(nx, ny, unit),
        *_pixels(cutout.variance, ">f4"),
        mask_header(nx, ny),
        *_pixels(cutout.mask, ">i4"),
    ]
    if not isinstance(cutout.psf, UnknownPsf):
        psf = cutout.psf.centred_at((nx - 1) / 2, (ny - 1) / 2)
        parts += [psf_header(*psf.shape[::-1]), *_pixels(psf, ">f4")]
    return b"".join(parts)


def _gzipped(content: bytes) -> bytes:
    """Return a gzip file without a time, so that the same pixels are the same bytes."""
    stream = zlib.compressobj(_LEVEL, wbits=zlib.MAX_WBITS | 16)
    return stream.compress(content) + stream.flush()


def _pixels(plane: NDArray[np.generic], dtype: str) -> tuple[bytes, bytes]:
    """Return the bytes of a plane, and those that fill its last block."""
    content = plane.astype(dtype).tobytes()
    return content, bytes(-len(content) % BLOCK)
