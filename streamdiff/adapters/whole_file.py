"""Local files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from streamdiff.errors import StoreUnavailableError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, and its folder, in place of one that exists.

    Raises
    ------
    StoreUnavailableError
        If it can not be written.
    """
    try:
        with temporary_beside(path, content) as temporary:
            temporary.replace(path)
    except OSError as err:
        raise StoreUnavailableError(f"{path}: can not be written: {err}") from err


@contextmanager
def temporary_beside(path: Path, content: bytes) -> Iterator[Path]:
    """Give a file with a content, on its disk, to be renamed or linked to a path.

    What is left of it is removed at the end.
    """
    with name_beside(path) as temporary:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary


@contextmanager
def name_beside(path: Path) -> Iterator[Path]:
    """Give the path of a file to be written, in the folder of another.

    What is left of it is removed at the end.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Unlike the files of tempfile, it is for all that the umask allows.
    temporary = path.with_name(f".{uuid4().hex}")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
