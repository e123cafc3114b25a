"""Files by URI: local paths and every other storage that fsspec knows."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import fsspec

from streamdiff.adapters.storage_errors import is_storage_failure
from streamdiff.errors import (
    ChecksumMismatchError,
    ConfigError,
    ForbiddenUriError,
    StoreUnavailableError,
    TooLargeError,
    UnreadableImageError,
)

_MIB = 1 << 20
# Of the errors of a storage these are about the file, not about the storage.
_NO_SUCH_FILE = (
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)


@dataclass(frozen=True, slots=True)
class Location:
    """Where a file is, in one spelling only.

    Attributes
    ----------
    scheme : str
        In lower case; ``file`` for local files.
    host : str
        Host or bucket; empty for local files.
    parts : tuple of str
        Names along the path, without ``.`` and ``..``.
    """

    scheme: str
    host: str
    parts: tuple[str, ...]

    @classmethod
    def parse(cls, uri: str) -> "Location":
        """Return the location that a URI or a plain path means.

        Percent-encoding is undone and symbolic links of local files are
        followed, so that what is compared with the roots is what is opened.

        Raises
        ------
        ForbiddenUriError
            If the URI climbs with ``..``, chains file systems, has a query, or
            holds characters that no path has.
        """
        scheme, host, path = _split(uri)
        names = path.split("/")
        if ".." in names or any(ord(c) < 32 or ord(c) == 127 for c in host + path):
            raise ForbiddenUriError(f"{uri!r}: '..' and control characters are refused")
        if scheme == "file":
            resolved = _resolve(path, uri)
            return cls(scheme, "", tuple(resolved.parts[1:]))
        return cls(scheme, host, tuple(name for name in names if name not in {"", "."}))

    def is_within(self, root: "Location") -> bool:
        """Return whether this is a root itself, or lies below it."""
        return (self.scheme, self.host) == (root.scheme, root.host) and (
            self.parts[: len(root.parts)] == root.parts
        )

    @property
    def path(self) -> str:
        """Return the path as the file system of the scheme wants it."""
        joined = "/".join(self.parts)
        if self.scheme in {"http", "https"}:
            return f"{self.scheme}://{self.host}/{quote(joined)}"
        return f"{self.host}/{joined}" if self.host else f"/{joined}"


@dataclass(frozen=True)
class RootedFiles:
    """Reads files below configured roots, and no others.

    Attributes
    ----------
    roots : iterable of str
        URIs, or plain paths, of folders.
    max_mib : float
        Largest file [MiB].

    Raises
    ------
    ConfigError
        If a root is no URI.
    """

    roots: Iterable[str]
    max_mib: float = 2048.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "roots", tuple(self.roots))
        try:
            _ = self._locations
        except ForbiddenUriError as err:
            raise ConfigError(f"[input] roots: {err}") from err

    @cached_property
    def _locations(self) -> tuple[Location, ...]:
        return tuple(Location.parse(root) for root in self.roots)

    def fetch(self, uri: str, *, sha256: str | None = None) -> bytes:
        """Return the content of a file; see `streamdiff.ports.Files`."""
        location = Location.parse(uri)
        if not any(location.is_within(root) for root in self._locations):
            raise ForbiddenUriError(
                f"{uri!r} lies outside the roots {', '.join(self.roots)}: "
                "add its folder to [input] roots"
            )
        content = self._read(location, uri)
        if sha256 is not None:
            found = hashlib.sha256(content).hexdigest()
            if found != sha256.strip().lower():
                raise ChecksumMismatchError(
                    f"{uri}: sha256 is {found}, the event announced {sha256}"
                )
        return content

    def _read(self, location: Location, uri: str) -> bytes:
        try:
            return self._content(location, uri)
        except _NO_SUCH_FILE as err:
            raise UnreadableImageError(f"{uri}: {_first_line(err)}") from err
        except (ImportError, ValueError) as err:
            raise UnreadableImageError(
                f"{uri}: no access to {location.scheme}: {_first_line(err)}"
            ) from err
        except Exception as err:
            if not is_storage_failure(err):
                raise
            raise StoreUnavailableError(f"{uri}: {_first_line(err)}") from err

    def _content(self, location: Location, uri: str) -> bytes:
        limit = int(self.max_mib * _MIB)
        storage = fsspec.filesystem(location.scheme)
        info = storage.info(location.path)
        if info.get("type") != "file":
            raise UnreadableImageError(f"{uri}: is no file")
        if (info.get("size") or 0) > limit:
            raise TooLargeError(_too_large(uri, info["size"], self.max_mib))
        with storage.open(location.path, "rb") as file:
            # One byte more, in case the file has grown since.
            expected = min(info.get("size") or 0, limit) + 1
            content = bytes(file.read(expected))
            if len(content) == expected:
                content += file.read(limit + 1 - expected)
        if len(content) > limit:
            raise TooLargeError(_too_large(uri, len(content), self.max_mib))
        return content


def _split(uri: str) -> tuple[str, str, str]:
    """Return scheme, host and path of a URI or plain path, decoded."""
    if "://" not in uri and not uri.lower().startswith("file:"):
        return "file", "", uri
    try:
        split = urlsplit(uri)
    except ValueError as err:
        raise ForbiddenUriError(f"{uri!r} is no URI: {err}") from err
    if "::" in uri or split.query or split.fragment:
        raise ForbiddenUriError(f"{uri!r}: '::', '?' and '#' are refused")
    scheme = "file" if split.scheme == "local" else split.scheme
    if not scheme:
        raise ForbiddenUriError(f"{uri!r} has no scheme")
    host, path = unquote(split.netloc), unquote(split.path)
    if "@" in host:
        place = host.rpartition("@")[2]
        raise ForbiddenUriError(
            f"'{scheme}://***@{place}/...': credentials in a URI are refused; they "
            "come from the environment"
        )
    if scheme == "file":
        if host not in {"", "localhost"}:
            raise ForbiddenUriError(f"{uri!r}: files of another host are refused")
        host = ""
    return scheme, host, path


def _resolve(path: str, uri: str) -> Path:
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError) as err:
        raise ForbiddenUriError(f"{uri!r} is no path: {err}") from err


def _too_large(uri: str, size: int, max_mib: float) -> str:
    return (
        f"{uri}: {size / _MIB:.1f} MiB, the limit is {max_mib:g}: see [input] "
        "max_image_mib"
    )


def _first_line(err: BaseException) -> str:
    return (str(err).splitlines() or [type(err).__name__])[0]
