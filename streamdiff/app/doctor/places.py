"""Where files are read and written: store, images, results, catalogue, caches."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from streamdiff.app import wiring
from streamdiff.app.doctor.finding import Finding
from streamdiff.config import Settings
from streamdiff.errors import StreamdiffError
from streamdiff.model import TemplateId

# A night of alerts, or some coadds: less is soon full.
LEAST_FREE_GIB = 2.0
_GIB = 1 << 30
_SQLITE = "sqlite:///"


def store(settings: Settings) -> Iterator[Finding]:
    """Yield whether templates can be read, and written where they are files."""
    uri = settings.store.uri
    somewhere = TemplateId(tract=0, patch=0, band="none")
    try:
        wiring.template_store(settings).newest(somewhere)
    except StreamdiffError as err:
        yield Finding(
            check="store",
            subject=uri,
            detail=str(err),
            fix="correct [store] uri, or give this user the right to read there",
        )
        return
    if (folder := _local(uri)) is None:
        yield Finding(check="store", subject=uri, detail="answers")
        return
    yield from _writable("store", folder, "[store] uri")


def roots(settings: Settings) -> Iterator[Finding]:
    """Yield whether the folders of images are there."""
    if not settings.input.roots:
        yield Finding(
            check="images",
            subject="[input] roots",
            detail="is empty: every image is refused",
            fix="name the folders of images, such as roots = ['file:///data']",
        )
    for uri in settings.input.roots:
        folder = _local(uri)
        if folder is None:
            yield Finding(check="images", subject=uri, detail="is not on this machine")
            continue
        is_there = folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)
        yield Finding(
            check="images",
            subject=uri,
            detail="can be read" if is_there else "is no folder that can be read",
            fix="" if is_there else "mount it, or correct [input] roots",
        )


def output(settings: Settings) -> Iterator[Finding]:
    """Yield whether results can be written, where they are."""
    if settings.output.directory:
        folder = Path(settings.output.directory)
        yield from _writable("output", folder, "[output] directory")


def catalogue(settings: Settings) -> Iterator[Finding]:
    """Yield whether the catalogue can be opened, where one is used."""
    if settings.stream.only == "templates" or not wiring.associates(settings):
        return
    url = settings.catalogue.url
    shown = url.rpartition("@")[2]  # without user and password
    file = Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None
    if file is not None and not file.exists():
        yield from _writable("catalogue", file.parent, "[catalogue] url")
        return
    try:
        version = _catalogue_version(settings)
    except StreamdiffError as err:
        yield Finding(
            check="catalogue",
            subject=shown,
            detail=str(err),
            fix="start or restore the database, or correct [catalogue] url",
        )
        return
    told = (
        "has no tables yet" if version is None else f"has tables of version {version}"
    )
    yield Finding(check="catalogue", subject=shown, detail=told)


def _catalogue_version(settings: Settings) -> int | None:
    # What looks at no catalogue is not to wait for SQLAlchemy.
    from streamdiff.adapters.catalogue.engine import (  # noqa: PLC0415
        open_engine,
        translated,
    )
    from streamdiff.adapters.catalogue.migrations import version_of  # noqa: PLC0415

    chosen = settings.catalogue
    engine = open_engine(chosen.url, timeout_s=chosen.timeout_s, read_only=True)
    try:
        with translated(engine), engine.connect() as connection:
            return version_of(connection)
    finally:
        engine.dispose()


def caches() -> Iterator[Finding]:
    """Yield whether there is room for temporary files and compiled code."""
    yield from _writable("temporary files", Path(tempfile.gettempdir()), "TMPDIR")
    if folder := os.environ.get("NUMBA_CACHE_DIR"):
        yield from _writable("compiled code", Path(folder), "NUMBA_CACHE_DIR")


def _writable(check: str, folder: Path, setting: str) -> Iterator[Finding]:
    """Yield whether a folder, or the one where it will be made, takes files."""
    existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not existing.is_dir():
        yield Finding(
            check=check,
            subject=str(folder),
            detail=f"{existing} is a file",
            fix=f"name a folder in {setting}",
        )
        return
    if not _takes_files(existing):
        yield Finding(
            check=check,
            subject=str(folder),
            detail=f"{existing} can not be written to",
            fix=f"chown {_user()} {existing}, or name another folder in {setting}",
        )
        return
    free_gib = shutil.disk_usage(existing).free / _GIB
    is_enough = free_gib >= LEAST_FREE_GIB
    yield Finding(
        check=check,
        subject=str(folder),
        detail=f"{free_gib:.1f} GiB are free",
        fix=""
        if is_enough
        else f"make room, {LEAST_FREE_GIB:g} GiB at least, or name another disk in "
        f"{setting}",
    )


def _takes_files(folder: Path) -> bool:
    """Return whether a file can be made, which rights alone do not tell."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _user() -> str:
    return os.environ.get("USER") or str(os.getuid())


def _local(uri: str) -> Path | None:
    """Return the path of a URI; `None` if it is not of this machine."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(uri) if not parts.scheme else None
