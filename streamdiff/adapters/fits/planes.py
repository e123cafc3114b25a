"""The planes of an exposure as HDUs, and back."""

import re
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from streamdiff.adapters.fits.celestial import wcs_header
from streamdiff.adapters.fits.extensions import Extension, Extensions
from streamdiff.errors import InvalidExposureError
from streamdiff.model import ConstantPsf, GridPsf, MaskPlane, Psf, UnknownPsf
from streamdiff.model.varying_psf import sample_on_grid

NANOJANSKY, UNCALIBRATED = "nJy", "adu"
COVARIANCE_KEYWORD, COVARIANCE_EXTENSION = "COVFACT", "COVARIANCE_FACTOR"
_MASK_KEYWORD = re.compile(r"MP_(\w+)")
_EVEN_SPACING = 1e-6


def image_hdu(
    name: str, plane: NDArray[Any], wcs: WCS, *, unit: str = ""
) -> fits.ImageHDU:
    """Return an image plane with its world coordinates."""
    header = wcs_header(wcs)
    if unit:
        header["BUNIT"] = unit
    return fits.ImageHDU(np.asarray(plane), header=header, name=name)


def mask_hdu(mask: NDArray[np.int32], wcs: WCS) -> fits.ImageHDU:
    """Return a mask whose header tells the bit of every plane, as LSST's do."""
    hdu = image_hdu("MASK", mask, wcs)
    hdu.header.extend(mask_cards())
    return hdu


def mask_cards() -> list[fits.Card]:
    """Return the cards MP_<plane> = bit."""
    return [
        fits.Card(
            f"HIERARCH MP_{p.name}" if len(str(p.name)) > 5 else f"MP_{p.name}", b
        )
        for b, p in enumerate(MaskPlane)
    ]


def read_mask(extension: Extension) -> NDArray[np.int32]:
    """Return a mask in the bits of `MaskPlane`, whatever bits the file uses.

    Planes that `MaskPlane` has not are ignored. In a mask that names no planes
    every pixel that is not 0 is BAD.

    Raises
    ------
    InvalidExposureError
        If the mask is not of integers, or a bit number is out of range.
    """
    stored = extension.pixels()
    if stored.dtype.kind not in "iub":
        raise extension.invalid(f"a mask must be of integers, is {stored.dtype}")
    bits = _bits(extension, 8 * stored.dtype.itemsize)
    if not bits:
        return np.where(stored != 0, np.int32(MaskPlane.BAD), np.int32(0))
    stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    used = int(np.bitwise_or.reduce(stored, axis=None))
    known = {
        MaskPlane[name]: bit
        for name, bit in bits.items()
        if name in MaskPlane.__members__ and used >> bit & 1
    }
    if all(plane == 1 << bit for plane, bit in known.items()):
        mask = stored.astype(np.int32, copy=False)
        return mask if used == sum(known) else mask & np.int32(sum(known))
    mask = np.zeros(stored.shape, np.int32)
    for plane, bit in known.items():
        found = (stored >> stored.dtype.type(bit)) & stored.dtype.type(1)
        mask |= found.astype(np.int32) * np.int32(plane)
    return mask


def psf_hdu(psf: Psf, image_shape: tuple[int, int]) -> fits.ImageHDU | None:
    """Return a PSF as one stamp, or as stamps on an even grid; `None` if unknown."""
    if isinstance(psf, UnknownPsf):
        return None
    sampled = sample_on_grid(psf, image_shape)
    if isinstance(sampled, ConstantPsf):
        return fits.ImageHDU(np.array(sampled.stamp), name="PSF")
    sampled = _evenly(sampled)
    hdu = fits.ImageHDU(np.array(sampled.stamps), name="PSF")
    hdu.header.extend(grid_cards(sampled.x, sampled.y))
    return hdu


def grid_cards(x: NDArray[np.float64], y: NDArray[np.float64]) -> list[fits.Card]:
    """Return the cards that tell the evenly spaced nodes of a grid."""
    cards = []
    for axis, nodes in (("X", x), ("Y", y)):
        step = (nodes[-1] - nodes[0]) / max(nodes.size - 1, 1)
        cards.append(fits.Card(f"PSF{axis}0", nodes[0], "[pix] first node, from 0"))
        cards.append(fits.Card(f"PSFD{axis}", step, "[pix] distance of nodes"))
    return cards


def grid_nodes(
    extension: Extension, shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the positions, x and y, of the nodes of a grid of shape (gy, gx, ...).

    Raises
    ------
    InvalidExposureError
        If the keywords are missing.
    """
    return _nodes(extension, "X", shape[1]), _nodes(extension, "Y", shape[0])


def read_psf(extension: Extension) -> Psf:
    """Return the PSF of an extension.

    Raises
    ------
    InvalidExposureError
        If the array is neither one stamp nor a grid of stamps, sides are even,
        or the grid's keywords are missing.
    """
    try:
        if extension.header.get("NAXIS") == 4:
            stamps = extension.pixels(4).astype(float)
            x, y = grid_nodes(extension, stamps.shape)
            return GridPsf(stamps=stamps, x=x, y=y)
        return ConstantPsf(extension.pixels().astype(float))
    except InvalidExposureError as err:
        if str(err).startswith(extension.uri):
            raise
        raise extension.invalid(str(err)) from err


def covariance_hdu(
    factor: float | NDArray[np.float32], image: fits.ImageHDU, wcs: WCS
) -> fits.ImageHDU | None:
    """Write a covariance factor to the image's header, or return it as a plane."""
    if isinstance(factor, np.ndarray):
        return image_hdu(COVARIANCE_EXTENSION, factor, wcs)
    image.header[COVARIANCE_KEYWORD] = (float(factor), "noise power at 0 / variance")
    return None


def read_covariance(
    extensions: Extensions, image: Extension
) -> float | NDArray[np.float32]:
    """Return the covariance factor of an exposure; 1 where the file has none."""
    plane = extensions[COVARIANCE_EXTENSION]
    if plane is not None:
        return plane.pixels().astype(np.float32)
    factor = image.number(COVARIANCE_KEYWORD)
    return 1.0 if factor is None else factor


def _bits(extension: Extension, width: int) -> dict[str, int]:
    """Return plane name -> bit number."""
    bits: dict[str, int] = {}
    for keyword in extension.header:
        match = _MASK_KEYWORD.fullmatch(keyword.upper())
        if match:
            bit = extension.number(keyword)
            if bit is None or bit != int(bit) or not 0 <= bit < width:
                raise extension.invalid(
                    f"must be a bit of {width}-bit pixels, is {bit}", keyword
                )
            bits[match[1]] = int(bit)
    return bits


def _evenly(psf: GridPsf) -> GridPsf:
    """Return the PSF on evenly spaced nodes, as the keywords can describe them."""
    x, y = (np.linspace(nodes[0], nodes[-1], nodes.size) for nodes in (psf.x, psf.y))
    if np.allclose(x, psf.x, atol=_EVEN_SPACING) and np.allclose(
        y, psf.y, atol=_EVEN_SPACING
    ):
        return psf
    stamps = np.array([[psf.centred_at(u, v) for u in x] for v in y])
    return GridPsf(stamps=stamps, x=x, y=y)


def _nodes(extension: Extension, axis: str, n_nodes: int) -> NDArray[np.float64]:
    first, step = (extension.number(k) for k in (f"PSF{axis}0", f"PSFD{axis}"))
    if first is None or (step is None and n_nodes > 1):
        raise extension.invalid(
            "a grid of stamps needs its first node and step", f"PSF{axis}0, PSFD{axis}"
        )
    return np.asarray(first + (step or 0.0) * np.arange(n_nodes), np.float64)
