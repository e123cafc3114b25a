"""Cutouts of alerts as FITS, written by hand: thousands have to be made per second.

The layout is that of `astropy.nddata.CCDData`: pixels in the primary HDU, then
UNCERT (variance), MASK and PSFIMAGE.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from streamdiff.adapters.fits.celestial import wcs_header
from streamdiff.adapters.fits.planes import NANOJANSKY, UNCALIBRATED, mask_cards
from streamdiff.adapters.fits.structure import BLOCK
from streamdiff.model import Exposure, UnknownPsf

# Positions that agree to so many pixels are the same.
_SAME_PIXEL = 1e-7
_NUMBERS = (
    "CRPIX1",
    "CRPIX2",
    "CRVAL1",
    "CRVAL2",
    "CD1_1",
    "CD1_2",
    "CD2_1",
    "CD2_2",
    "LONPOLE",
)


def encode_cutout(cutout: Exposure) -> bytes:
    """Return a cutout as the bytes of a FITS file.

    HDUs are the image, UNCERT (its variance), MASK, and PSFIMAGE: the PSF at the
    centre, where it is known. `astropy.nddata.CCDData.read` reads all of them.
    """
    ny, nx = cutout.shape
    unit = NANOJANSKY if cutout.photometric else UNCALIBRATED
    world = _tangent_cards(cutout) or _other_cards(cutout)
    parts = [
        _padded(_primary_cards(nx, ny, unit) + world + _card("END"), b" "),
        _pixels(cutout.image, ">f4"),
        _uncertainty_header(nx, ny, unit),
        _pixels(cutout.variance, ">f4"),
        _mask_header(nx, ny),
        _pixels(cutout.mask, ">i4"),
    ]
    if not isinstance(cutout.psf, UnknownPsf):
        psf = cutout.psf.centred_at((nx - 1) / 2, (ny - 1) / 2)
        parts += [_psf_header(*psf.shape[::-1]), _pixels(psf, ">f4")]
    return b"".join(parts)


def _card(keyword: str, value: str = "") -> bytes:
    text = f"{keyword:<8}= {value:>20}" if value else keyword
    return text.encode("ascii").ljust(80)


def _number(value: float) -> str:
    """Return a float in 20 characters, or as many as 17 digits need."""
    return f"{value:20.16E}"


def _padded(content: bytes, fill: bytes) -> bytes:
    return content.ljust(-(-len(content) // BLOCK) * BLOCK, fill)


def _pixels(plane: NDArray[np.generic], dtype: str) -> bytes:
    return _padded(plane.astype(dtype).tobytes(), b"\0")


@cache
def _primary_cards(nx: int, ny: int, unit: str) -> bytes:
    return b"".join(
        [
            _card("SIMPLE", "T"),
            *_shape_cards(nx, ny, -32),
            _card("EXTEND", "T"),
            _card("BUNIT", _text(unit)),
        ]
    )


@cache
def _uncertainty_header(nx: int, ny: int, unit: str) -> bytes:
    return _extension_header(
        "UNCERT",
        [
            *_shape_cards(nx, ny, -32),
            _card("PCOUNT", "0"),
            _card("GCOUNT", "1"),
            _card("BUNIT", _text(f"{unit}2")),
            _card("UTYPE", _text("VarianceUncertainty")),
        ],
    )


@cache
def _mask_header(nx: int, ny: int) -> bytes:
    bits = [str(card).encode("ascii").ljust(80) for card in mask_cards()]
    return _extension_header(
        "MASK",
        [
            *_shape_cards(nx, ny, 32),
            _card("PCOUNT", "0"),
            _card("GCOUNT", "1"),
            *bits,
        ],
    )


@cache
def _psf_header(nx: int, ny: int) -> bytes:
    return _extension_header(
        "PSFIMAGE",
        [*_shape_cards(nx, ny, -32), _card("PCOUNT", "0"), _card("GCOUNT", "1")],
    )


def _extension_header(name: str, cards: list[bytes]) -> bytes:
    extension = _card("XTENSION", _text("IMAGE"))
    return _padded(
        b"".join([extension, *cards, _card("EXTNAME", _text(name)), _card("END")]),
        b" ",
    )


def _shape_cards(nx: int, ny: int, bitpix: int) -> list[bytes]:
    return [
        _card("BITPIX", str(bitpix)),
        _card("NAXIS", "2"),
        _card("NAXIS1", str(nx)),
        _card("NAXIS2", str(ny)),
    ]


def _text(value: str) -> str:
    """Return a string as FITS quotes it: at least 8 characters, from column 11."""
    return f"'{value:<8}'".ljust(20)


def _tangent_cards(cutout: Exposure) -> bytes | None:
    """Return the cards of a plain tangent projection; `None` for any other."""
    linear = cutout.wcs.wcs
    if cutout.wcs.sip is not None or list(linear.ctype) != ["RA---TAN", "DEC--TAN"]:
        return None
    matrix = linear.get_cdelt()[:, np.newaxis] * linear.get_pc()
    if linear.radesys not in {"", "ICRS"} or not _is_linear(cutout, matrix):
        return None
    values = [*linear.crpix, *linear.crval, *matrix.ravel(), linear.lonpole]
    cards = (_card(k, _number(v)) for k, v in zip(_NUMBERS, values, strict=True))
    return _PROJECTION + b"".join(cards)


def _is_linear(cutout: Exposure, matrix: NDArray[np.float64]) -> bool:
    """Return False for a TPV projection: WCSLIB calls it TAN, and hides its terms."""
    ny, nx = cutout.shape
    corners = np.array([[1, 1], [nx, 1], [1, ny], [nx, ny]], float)
    linear = cutout.wcs.wcs
    expected = (corners - linear.crpix) @ matrix.T
    difference = linear.p2s(corners, 1)["imgcrd"] - expected
    tolerance = _SAME_PIXEL * np.abs(matrix).max()
    return bool((np.abs(difference) <= tolerance).all())


_PROJECTION = b"".join(
    [
        _card("WCSAXES", "2"),
        _card("CTYPE1", _text("RA---TAN")),
        _card("CTYPE2", _text("DEC--TAN")),
        _card("CUNIT1", _text("deg")),
        _card("CUNIT2", _text("deg")),
        _card("RADESYS", _text("ICRS")),
    ]
)


def _other_cards(cutout: Exposure) -> bytes:
    return b"".join(
        str(card).encode("ascii").ljust(80) for card in wcs_header(cutout.wcs).cards
    )
