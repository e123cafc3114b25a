"""FITS in and out: exposures, differences, coadds and cutouts."""

from streamdiff.adapters.fits.cutout import encode_cutout, encode_cutouts
from streamdiff.adapters.fits.difference import encode_difference
from streamdiff.adapters.fits.exposure import decode_exposure, encode_exposure
from streamdiff.adapters.fits.reader import FitsReader, describe

__all__ = [
    "FitsReader",
    "decode_exposure",
    "describe",
    "encode_cutout",
    "encode_cutouts",
    "encode_difference",
    "encode_exposure",
]
