"""The HDUs of a FITS file, with errors that say where."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from math import prod
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from streamdiff.adapters.fits.structure import check_structure, inflate
from streamdiff.errors import InvalidExposureError, UnreadableImageError

# Pixels of such images are not what is stored.
_SCALED = ("BSCALE", "BZERO", "BLANK")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Extension:
    """One HDU of a file, and where it is.

    Attributes
    ----------
    uri : str
        The file.
    name : str
        EXTNAME, or PRIMARY.
    header : astropy.io.fits.Header
    hdu : object
        The astropy HDU.
    content : bytes
        The file's bytes.
    """

    uri: str
    name: str
    header: fits.Header
    hdu: Any
    content: bytes

    def invalid(self, rule: str, keyword: str = "") -> InvalidExposureError:
        """Return the error that a rule is broken, to be raised."""
        where = ", ".join(part for part in (self.uri, self.name, keyword) if part)
        return InvalidExposureError(f"{where}: {rule}")

    @property
    def is_image(self) -> bool:
        """Return whether the HDU holds pixels."""
        return bool(self.hdu.is_image) and self.header.get("NAXIS", 0) > 0

    def pixels(self, n_axes: int = 2) -> NDArray[Any]:
        """Return the pixels, in the order of bytes of the file.

        Those that are stored as they are stay where they are: they are not copied.

        Raises
        ------
        InvalidExposureError
            If there are none, or they have another number of axes.
        UnreadableImageError
            If they can not be decoded.
        """
        if not self.is_image:
            raise self.invalid("must hold an image")
        try:
            with quiet():
                data = self._stored() if self._is_plain else self.hdu.data
        except Exception as err:
            raise UnreadableImageError(
                f"{self.uri}, {self.name}: the pixels can not be decoded: {err}"
            ) from err
        if data is None or data.ndim != n_axes or not data.size:
            shape = () if data is None else data.shape
            raise self.invalid(f"must have {n_axes} axes and pixels, has shape {shape}")
        return np.asarray(data)

    @property
    def _is_plain(self) -> bool:
        """Return whether pixels are stored as they are."""
        is_image = type(self.hdu) in {fits.PrimaryHDU, fits.ImageHDU}
        return is_image and not any(key in self.header for key in _SCALED)

    def _stored(self) -> NDArray[Any]:
        shape = [self.header[f"NAXIS{i}"] for i in range(self.header["NAXIS"], 0, -1)]
        stored = np.dtype(fits.BITPIX2DTYPE[self.header["BITPIX"]]).newbyteorder(">")
        first = self.hdu.fileinfo()["datLoc"]
        return np.frombuffer(self.content, stored, prod(shape), first).reshape(shape)

    def value(self, keyword: str) -> Any:  # noqa: ANN401
        """Return the value of a keyword, `None` where it is absent or undefined."""
        try:
            value = self.header.get(keyword)
        except (fits.VerifyError, ValueError) as err:
            raise self.invalid(f"the value can not be parsed: {err}", keyword) from err
        return None if isinstance(value, fits.card.Undefined) else value

    def number(self, keyword: str) -> float | None:
        """Return the finite number of a keyword, `None` where it is absent."""
        value = self.value(keyword)
        if value is None:
            return None
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = np.nan
        if isinstance(value, bool) or not np.isfinite(number):
            raise self.invalid(f"must be a finite number, is {value!r}", keyword)
        return number


@dataclass(frozen=True, slots=True, eq=False)
class Extensions:
    """The HDUs of one file, in order."""

    uri: str
    all: tuple[Extension, ...]

    def __getitem__(self, name: str) -> Extension | None:
        return next((e for e in self.all if e.name == name), None)

    @property
    def primary(self) -> Extension:
        """Return the first HDU."""
        return self.all[0]

    def require(self, name: str) -> Extension:
        """Return an extension by name.

        Raises
        ------
        InvalidExposureError
            If there is none.
        """
        found = self[name]
        if found is None:
            names = ", ".join(e.name for e in self.all)
            raise InvalidExposureError(
                f"{self.uri}: has no extension {name}, only {names}"
            )
        return found

    def image(self) -> Extension:
        """Return the extension IMAGE, else the first that holds pixels.

        Raises
        ------
        InvalidExposureError
            If there is none.
        """
        named = self["IMAGE"] or self["SCI"]
        found = named or next((e for e in self.all if e.is_image), None)
        if found is None:
            raise InvalidExposureError(f"{self.uri}: holds no image")
        return found


def read_extensions(content: bytes, uri: str) -> Extensions:
    """Return the HDUs of a file, which may be gzipped.

    Raises
    ------
    UnreadableImageError
        If the bytes are no complete FITS file.
    TooLargeError
        If it is compressed out of proportion.
    """
    content = inflate(content, uri)
    check_structure(content, uri)
    try:
        with quiet():
            # From a file: from bytes, each HDU would copy all that follow it.
            hdus = fits.open(BytesIO(content), memmap=False)
            found = [_extension(*item, content, uri) for item in enumerate(hdus)]
            # astropy parses the cards that say so only when it is asked
            _ = [extension.is_image for extension in found]
    except Exception as err:
        raise UnreadableImageError(f"{uri}: not a readable FITS file: {err}") from err
    return Extensions(uri, tuple(found))


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings: what matters in a file is checked, and an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _extension(
    index: int,
    hdu: Any,  # noqa: ANN401
    content: bytes,
    uri: str,
) -> Extension:
    header = hdu.header
    name = str(header.get("EXTNAME", "" if index else "PRIMARY")).strip().upper()
    name = name or f"extension {index}"
    return Extension(uri=uri, name=name, header=header, hdu=hdu, content=content)
