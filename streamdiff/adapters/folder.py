"""A folder on any file system, whose files appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from streamdiff.adapters.storage_errors import is_storage_failure
from streamdiff.adapters.whole_file import temporary_beside
from streamdiff.errors import ConfigError, StoreUnavailableError


@dataclass(frozen=True, slots=True)
class Folder:
    """Files below one URI, by their paths relative to it.

    Attributes
    ----------
    filesystem : fsspec.AbstractFileSystem
    root : str
    """

    filesystem: Any
    root: str

    @classmethod
    def at(cls, uri: str) -> "Folder":
        """Return the folder of a URI such as ``file:///data`` or ``s3://bucket``.

        Raises
        ------
        ConfigError
            If there is no such kind of file system.
        """
        try:
            filesystem, root = fsspec.core.url_to_fs(uri)
        except (ImportError, ValueError) as err:
            raise ConfigError(f"store uri {uri!r}: {err}") from err
        return cls(filesystem, root.rstrip("/"))

    def read(self, path: str) -> bytes | None:
        """Return the content of a file, `None` if there is none."""
        with self._translated(path):
            try:
                content: bytes = self.filesystem.cat_file(self._full(path))
            except (FileNotFoundError, NotADirectoryError):
                return None
            return content

    def names(self, path: str) -> list[str]:
        """Return the names of what is in a folder, none if there is no such one."""
        with self._translated(path):
            self.filesystem.invalidate_cache(self._full(path))
            try:
                listed = self.filesystem.ls(self._full(path), detail=False)
            except (FileNotFoundError, NotADirectoryError):
                return []
            return sorted(str(name).rstrip("/").rsplit("/", 1)[-1] for name in listed)

    def exists(self, path: str) -> bool:
        """Return whether there is such a file."""
        with self._translated(path):
            self.filesystem.invalidate_cache(self._full(path))
            return bool(self.filesystem.exists(self._full(path)))

    def create(self, path: str, content: bytes) -> bool:
        """Write a new file; False, and nothing written, if it exists already."""
        full = self._full(path)
        with self._translated(path):
            try:
                if isinstance(self.filesystem, LocalFileSystem):
                    _link_new(Path(full), content)
                else:
                    self.filesystem.makedirs(_parent(full), exist_ok=True)
                    self.filesystem.pipe_file(full, content, mode="create")
            except FileExistsError:
                return False
            return True

    def write(self, path: str, content: bytes) -> None:
        """Write a file, in place of one that exists."""
        full = self._full(path)
        with self._translated(path):
            if isinstance(self.filesystem, LocalFileSystem):
                with temporary_beside(Path(full), content) as temporary:
                    temporary.replace(full)
            else:
                self.filesystem.makedirs(_parent(full), exist_ok=True)
                self.filesystem.pipe_file(full, content)

    def delete(self, path: str) -> None:
        """Delete a file, if it exists."""
        with self._translated(path):
            try:
                self.filesystem.rm_file(self._full(path))
            except FileNotFoundError:
                return

    def _full(self, path: str) -> str:
        return f"{self.root}/{path}"

    @contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        try:
            yield
        except Exception as err:
            if not is_storage_failure(err):
                raise
            raise StoreUnavailableError(f"{self._full(path)}: {err!r}") from err


def _parent(path: str) -> str:
    return path.rsplit("/", 1)[0]


def _link_new(path: Path, content: bytes) -> None:
    """Make a file appear with all its content, unless it exists.

    Raises
    ------
    FileExistsError
        If it does.
    """
    with temporary_beside(path, content) as temporary:
        os.link(temporary, path)
