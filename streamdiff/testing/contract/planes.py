"""Rules on planes, PSFs and tables that results of several kinds must keep."""

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import Column, Difference, Exposure, MaskPlane, Psf
from streamdiff.testing.contract.check import require

# The sum of a PSF is known to rounding, and to what its stamp cuts off.
_SUM_TOLERANCE = 1e-3


def require_type(value: object, wanted: type | tuple[type, ...], read: str) -> None:
    """Raise unless a value is of a type."""
    names = wanted if isinstance(wanted, tuple) else (wanted,)
    require(
        isinstance(value, wanted),
        expected=" or ".join(t.__name__ for t in names),
        got=f"{type(value).__name__} ({value!r:.60})",
        read=read,
    )


def require_shape(got: tuple[int, ...], wanted: tuple[int, ...], read: str) -> None:
    """Raise unless a shape is the one that was asked for."""
    require(
        got == wanted,
        expected=f"planes of shape {wanted}",
        got=f"shape {got}",
        read=read,
    )


def require_planes(result: Difference | Exposure, read: str) -> None:
    """Raise unless pixels are numbers with a variance, or NO_DATA.

    NO_DATA is image 0 and infinite variance; all else is finite, with a variance
    above 0.
    """
    no_data = MaskPlane.NO_DATA.in_mask(result.mask)
    image, variance = result.image, result.variance
    rules: tuple[tuple[NDArray[np.bool_], str], ...] = (
        (~no_data & ~np.isfinite(image), "a finite image where NO_DATA is not set"),
        (no_data & (image != 0), "image 0 where NO_DATA is set"),
        (
            ~no_data & ~(np.isfinite(variance) & (variance > 0)),
            "a variance that is finite and positive where NO_DATA is not set",
        ),
        (no_data & ~np.isposinf(variance), "infinite variance where NO_DATA is set"),
    )
    for broken, expected in rules:
        require(
            not broken.any(),
            expected=expected,
            got=f"{np.count_nonzero(broken)} pixels that differ, {_first(broken)}",
            read=f"{read}.image, .variance",
        )


def require_psf(psf: object, shape: tuple[int, int], read: str) -> None:
    """Raise unless a PSF has odd sides and sums to 1, anywhere on an image."""
    require(
        isinstance(psf, Psf),
        expected="a PSF: shape, at(x, y) and centred_at(x, y)",
        got=type(psf).__name__,
        read=read,
    )
    assert isinstance(psf, Psf)  # noqa: S101 - for the type checker
    right, top = shape[1] - 1.0, shape[0] - 1.0
    for x, y in ((0.0, 0.0), (right / 2, top / 2), (right, top)):
        for stamp in (psf.centred_at(x, y), psf.at(x, y)):
            require(
                stamp.ndim == 2 and all(side % 2 for side in stamp.shape),
                expected="stamps of odd sides",
                got=f"shape {stamp.shape} at ({x:g}, {y:g})",
                read=read,
            )
            require(
                abs(float(stamp.sum()) - 1) < _SUM_TOLERANCE,
                expected="stamps that sum to 1",
                got=f"{stamp.sum():.6f} at ({x:g}, {y:g})",
                read=read,
            )


def require_columns(columns: object, read: str) -> None:
    """Raise unless columns are named, typed, and described."""
    require_type(columns, tuple, read)
    assert isinstance(columns, tuple)  # noqa: S101 - for the type checker
    for column in columns:
        require_type(column, Column, read)
        require(
            column.name.isidentifier(),
            expected="columns whose name is one word, such as psfFlux",
            got=repr(column.name),
            read="streamdiff.model.Column",
        )
        require(
            column.doc.strip(),
            expected="a sentence on every column",
            got=f"none on {column.name}",
            read="streamdiff.model.Column.doc",
        )
        require(
            _is_unit(column.unit),
            expected="units as FITS writes them, such as nJy or deg",
            got=f"{column.unit!r} of {column.name}",
            read="streamdiff.model.Column.unit",
        )
    names = [column.name for column in columns]
    require(
        len(set(names)) == len(names),
        expected="columns of different names",
        got=", ".join(names),
        read=read,
    )


def _is_unit(text: str) -> bool:
    from astropy import units  # noqa: PLC0415 - it takes a while

    try:
        units.Unit(text)
    except ValueError:
        return False
    return True


def _first(broken: NDArray[np.bool_]) -> str:
    where = np.argwhere(broken)
    return f"the first at row {where[0][0]}, column {where[0][1]}" if len(where) else ""
