"""Coadds as multi-extension FITS: an exposure with N_IMAGE and INPUTS."""

from collections.abc import Mapping

import numpy as np
from astropy.io import fits

from streamdiff.adapters.fits.exposure import (
    CardValue,
    exposure_hdus,
    exposure_of,
    primary_hdu,
    to_bytes,
)
from streamdiff.adapters.fits.extensions import Extension, quiet, read_extensions
from streamdiff.adapters.fits.planes import image_hdu
from streamdiff.model import Coadd, CoaddInput, ExposureId

N_IMAGE, INPUTS = "N_IMAGE", "INPUTS"
_METRIC = "METRIC "


def encode_coadd(
    coadd: Coadd, *, cards: Mapping[str, CardValue] | None = None
) -> bytes:
    """Return a coadd as the bytes of a FITS file.

    Parameters
    ----------
    coadd : Coadd
    cards : mapping of str to value, optional
        More cards for the primary header.
    """
    exposure = coadd.exposure
    return to_bytes(
        [
            primary_hdu(exposure, cards),
            *exposure_hdus(exposure),
            image_hdu(N_IMAGE, coadd.n_image, exposure.wcs),
            _inputs_hdu(coadd),
        ]
    )


def decode_coadd(content: bytes, uri: str = "coadd") -> Coadd:
    """Return the coadd that `encode_coadd` has written.

    Raises
    ------
    UnreadableImageError, TooLargeError
        If this is no complete FITS file.
    InvalidExposureError
        If an extension or keyword is missing or breaks a rule.
    """
    extensions = read_extensions(content, uri)
    table = extensions.require(INPUTS)
    return Coadd(
        exposure=exposure_of(extensions),
        n_image=extensions.require(N_IMAGE).pixels().astype(np.int32),
        inputs=_inputs(table),
        metrics={
            keyword.removeprefix(_METRIC).lower(): float(value)
            for keyword, value in table.header.items()
            if keyword.startswith(_METRIC)
        },
    )


def _inputs_hdu(coadd: Coadd) -> fits.BinTableHDU:
    """Return one row per input; the metrics are cards of the header."""
    ids = [item.id for item in coadd.inputs]
    columns = [
        _column("INSTRUMENT", [i.instrument for i in ids]),
        fits.Column("VISIT", "K", array=[i.visit for i in ids]),
        fits.Column("DETECTOR", "J", array=[i.detector for i in ids]),
        _column("BAND", [i.band for i in ids]),
        fits.Column("WEIGHT", "D", array=[item.weight for item in coadd.inputs]),
        fits.Column("ACCEPTED", "L", array=[item.accepted for item in coadd.inputs]),
        _column("REASON", [item.reason or "" for item in coadd.inputs]),
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name=INPUTS)
    metrics = {
        f"{_METRIC}{name}": float(value)
        for name, value in coadd.metrics.items()
        if np.isfinite(value)
    }
    with quiet():
        for name, value in metrics.items():
            hdu.header[f"HIERARCH {name}"] = value
    return hdu


def _column(name: str, texts: list[str]) -> fits.Column:
    # FITS knows ASCII only.
    ascii_texts = [t.encode("ascii", "replace").decode() for t in texts]
    width = max([1, *map(len, ascii_texts)])
    return fits.Column(name, f"{width}A", array=np.array(ascii_texts, f"U{width}"))


def _inputs(table: Extension) -> tuple[CoaddInput, ...]:
    try:
        return tuple(
            CoaddInput(
                id=ExposureId(
                    instrument=str(row["INSTRUMENT"]),
                    visit=int(row["VISIT"]),
                    detector=int(row["DETECTOR"]),
                    band=str(row["BAND"]),
                ),
                weight=float(row["WEIGHT"]),
                accepted=bool(row["ACCEPTED"]),
                reason=str(row["REASON"]) or None,
            )
            for row in table.hdu.data
        )
    except (KeyError, TypeError, ValueError) as err:
        raise table.invalid(f"is no table of inputs: {err}") from err
