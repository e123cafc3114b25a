"""Headers of cutouts: prepared once, but for the numbers of the WCS."""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from streamdiff.adapters.fits.celestial import wcs_header
from streamdiff.adapters.fits.planes import mask_cards
from streamdiff.adapters.fits.structure import BLOCK
from streamdiff.model import Exposure

# Positions that agree to so many pixels are the same.
_SAME_PIXEL = 1e-7


def _card(keyword: str, value: str = "") -> bytes:
    text = f"{keyword:<8}= {value:>20}" if value else keyword
    return text.encode("ascii").ljust(80)


def primary_header(nx: int, ny: int, unit: str, world: bytes) -> bytes:
    """Return the header of the pixels; the cards of the WCS are given."""
    return padded(_primary_cards(nx, ny, unit) + world + _END)


def padded(content: bytes) -> bytes:
    """Return a header filled up to whole blocks."""
    return content.ljust(-(-len(content) // BLOCK) * BLOCK, b" ")


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
def uncertainty_header(nx: int, ny: int, unit: str) -> bytes:
    """Return the header of the variance, as `astropy.nddata` reads it."""
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
def mask_header(nx: int, ny: int) -> bytes:
    """Return the header of the mask, with the bit of every plane."""
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
def psf_header(nx: int, ny: int) -> bytes:
    """Return the header of the PSF."""
    return _extension_header(
        "PSFIMAGE",
        [*_shape_cards(nx, ny, -32), _card("PCOUNT", "0"), _card("GCOUNT", "1")],
    )


def _extension_header(name: str, cards: list[bytes]) -> bytes:
    extension = _card("XTENSION", _text("IMAGE"))
    return padded(
        b"".join([extension, *cards, _card("EXTNAME", _text(name)), _card("END")])
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


def corner_cards(corner: tuple[int, int] | None) -> bytes:
    """Return LSST's cards for the first pixel's column and row on the image."""
    if corner is None:
        return b""
    return b"CUTMINX = %20d%50sCUTMINY = %20d%50s" % (corner[0], b"", corner[1], b"")


def world_cards(cutout: Exposure) -> bytes:
    """Return the cards of a cutout's WCS, to the last digit."""
    return _tangent_cards(cutout) or _other_cards(cutout)


def _tangent_cards(cutout: Exposure) -> bytes | None:
    """Return the cards of a plain tangent projection; `None` for any other."""
    linear = cutout.wcs.wcs
    if cutout.wcs.sip is not None or list(linear.ctype) != ["RA---TAN", "DEC--TAN"]:
        return None
    matrix = linear.get_cdelt()[:, np.newaxis] * linear.get_pc()
    if linear.radesys not in {"", "ICRS"} or not _is_linear(cutout, matrix):
        return None
    cd = matrix.ravel().tolist()
    rotation = math.degrees(math.atan2(cd[1], cd[3]))
    numbers = *linear.crpix, *linear.crval, *cd, linear.lonpole, rotation
    return _PROJECTION + _NUMBERS % numbers


def _is_linear(cutout: Exposure, matrix: NDArray[np.float64]) -> bool:
    """Return False for a TPV projection: WCSLIB calls it TAN, and hides its terms."""
    linear = cutout.wcs.wcs
    places = _apart(*cutout.shape)
    difference = linear.p2s(places, 1)["imgcrd"] - (places - linear.crpix) @ matrix.T
    return float(np.abs(difference).max()) <= _SAME_PIXEL * float(np.abs(matrix).max())


@cache
def _apart(ny: int, nx: int) -> NDArray[np.float64]:
    """Return places that no symmetry joins, far from each other, counted from 1."""
    return np.array([[1, 1], [nx, 1 + ny // 3], [1 + nx // 4, ny]], float)


_END = _card("END")
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
# Each a card of 80 bytes, and a number with the 17 digits that a float64 can need.
# ROTPA is LSST's: the position angle of the rows' direction, from north to east.
_NUMBERS = b"".join(
    f"{keyword:<8}= %-70.16E".encode()
    for keyword in (
        "CRPIX1",
        "CRPIX2",
        "CRVAL1",
        "CRVAL2",
        "CD1_1",
        "CD1_2",
        "CD2_1",
        "CD2_2",
        "LONPOLE",
        "ROTPA",
    )
)


def _other_cards(cutout: Exposure) -> bytes:
    return b"".join(
        str(card).encode("ascii").ljust(80) for card in wcs_header(cutout.wcs).cards
    )
