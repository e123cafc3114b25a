"""DiaSources as FITS tables."""

import numpy as np
from astropy.io import fits

from streamdiff.adapters.fits.exposure import to_bytes
from streamdiff.model import DiaSources

# Types of the columns of a FITS table (Table 18 of the FITS Standard).
_FORMATS = {"?": "L", "i2": "I", "i4": "J", "i8": "K", "f4": "E", "f8": "D"}


def encode_table(sources: DiaSources, name: str) -> bytes:
    """Return a table as the bytes of a FITS file."""
    return to_bytes([fits.PrimaryHDU(), table_hdu(sources, name)])


def table_hdu(sources: DiaSources, name: str) -> fits.BinTableHDU:
    """Return the table; what each column is stands in TCOMMn."""
    columns = []
    for column in sources.columns:
        values = sources[column.name]
        if values.dtype.kind in "OUS":
            text = values.astype(str)
            width = max(text.dtype.itemsize // 4, 1)
            columns.append(fits.Column(column.name, f"{width}A", array=text))
            continue
        code = values.dtype.str.lstrip("<>=|").replace("b1", "?")
        columns.append(
            fits.Column(
                column.name,
                _FORMATS.get(code, "D"),
                unit=column.unit or None,
                array=values if code in _FORMATS else values.astype(np.float64),
            )
        )
    table = fits.BinTableHDU.from_columns(columns, name=name)
    for number, column in enumerate(sources.columns, start=1):
        table.header[f"TCOMM{number}"] = _ascii(column.doc)
    return table


def _ascii(text: str) -> str:
    """Return text that a FITS header can hold."""
    return text.encode("ascii", "replace").decode()
