"""World coordinates in FITS headers, to full precision."""

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from streamdiff.adapters.fits.extensions import Extension, quiet
from streamdiff.errors import InvalidExposureError


def wcs_header(wcs: WCS) -> fits.Header:
    """Return the cards of a WCS: TAN, SIP, TPV or any other that FITS has.

    Raises
    ------
    InvalidExposureError
        If the WCS holds distortion tables, which need files of their own.

    Notes
    -----
    WCSLIB writes 12 digits, which would move positions by up to 1e-5 px. The
    numbers are therefore written again from the WCS itself.
    """
    if any((wcs.cpdis1, wcs.cpdis2, wcs.det2im1, wcs.det2im2)):
        raise InvalidExposureError(
            "a WCS with distortion tables can not be written: convert it to SIP or TPV"
        )
    with quiet():
        header = wcs.to_header(relax=True)
    linear = wcs.wcs
    matrix = np.diag(linear.get_cdelt()) @ linear.get_pc()
    for key in [k for k in header if k.startswith(("PC", "CD"))]:
        del header[key]
    for i in range(2):
        header[f"CRPIX{i + 1}"] = linear.crpix[i]
        header[f"CRVAL{i + 1}"] = linear.crval[i]
        for j in range(2):
            header[f"CD{i + 1}_{j + 1}"] = matrix[i, j]
    for i, m, value in linear.get_pv():
        header[f"PV{i}_{m}"] = value
    # What depends on the time belongs to the exposure, not to its pixels.
    for key in ("MJDREF", "DATE-OBS", "MJD-OBS"):
        header.remove(key, ignore_missing=True)
    return header


def read_wcs(extension: Extension) -> WCS:
    """Return the celestial WCS of an extension.

    Raises
    ------
    InvalidExposureError
        If there is none, or it is broken.
    """
    try:
        with quiet():
            wcs = WCS(extension.header)
            wcs = wcs if wcs.naxis == 2 else wcs.celestial
            centre = [float(extension.header[f"NAXIS{i}"]) / 2 for i in (1, 2)]
            sky = wcs.all_pix2world([centre], 0) if wcs.has_celestial else [np.nan]
    except Exception as err:
        raise extension.invalid(f"the WCS can not be read: {err}", "CTYPE1") from err
    if not (wcs.naxis == 2 and wcs.has_celestial):
        raise extension.invalid("has no celestial WCS (RA and DEC)", "CTYPE1")
    if not np.isfinite(sky).all():
        raise extension.invalid("the WCS has no position for the centre", "CRVAL1")
    return wcs
