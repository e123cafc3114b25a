"""Templates as files: on a disk or in object storage.

::

    <root>/<name>/<tract>/<patch>/<band>/
        v000001/coadd-<checksum>.fits   written first
        v000001/manifest.json           created last, never replaced: the version
                                        exists once this does, and is the creator's;
                                        without a coadd it holds exposures, too few
        retired.json                    the last version that is not to be used
        warps/<exposure>-<hash>.fits    with its checksum beside it
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from streamdiff.adapters.coadd_cache import CoaddCache
from streamdiff.adapters.fits.coadd import decode_coadd, encode_coadd
from streamdiff.adapters.fits.exposure import decode_exposure, encode_exposure
from streamdiff.adapters.folder import Folder
from streamdiff.adapters.manifest import Manifest, Retirement, event_fields
from streamdiff.errors import (
    ChecksumMismatchError,
    InvalidExposureError,
    UnprocessableError,
    VersionConflictError,
)
from streamdiff.model import Coadd, Exposure, TemplateId, VisitReady

MANIFEST, RETIRED, WARPS, CHECKSUM = "manifest.json", "retired.json", "warps", ".sha256"
_VERSION = re.compile(r"v(\d{6,})")
# Updates that a template remembers, so that one delivered again changes nothing.
_REMEMBERED = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """What the store keeps.

    Attributes
    ----------
    versions : int
        The newest of each template; 0 for all.
    retired : bool
        Versions of retired templates, too.
    """

    versions: int = 0
    retired: bool = True


class FsspecTemplateStore:
    """Immutable, numbered versions of coadds below a URI.

    Parameters
    ----------
    uri : str
        Such as ``file:///var/lib/streamdiff/templates`` or ``s3://bucket/path``.
    cache_mib : float
        Room for coadds that have been loaded, see `CoaddCache`; the least recently
        used go first.
    keep : Keep, optional
        What `collect` leaves; everything by default.
    warps_by : str
        What makes warps, besides events: warps by something else are not used.

    Raises
    ------
    ConfigError
        If there is no such kind of file system.
    """

    def __init__(
        self,
        uri: str,
        cache_mib: float = 2048,
        *,
        keep: Keep | None = None,
        warps_by: str = "",
    ) -> None:
        self._folder = Folder.at(uri)
        self._cache = CoaddCache(int(cache_mib * 2**20))
        self._keep = keep or Keep()
        self._warps_by = warps_by

    def newest(self, template_id: TemplateId) -> int | None:
        """Return the highest version that has a coadd; `None` if there is none."""
        retired = self._retirement(template_id).through
        for number in reversed(self._numbers(template_id)):
            manifest = self._manifest(template_id, number) if number > retired else None
            if manifest is not None and manifest.sha256:
                return number
        return None

    def last(self, template_id: TemplateId) -> int:
        """Return the last number in use, with or without a coadd; 0 for none."""
        retired = self._retirement(template_id)
        return max(self._claimed(template_id), retired.through)

    def made_by(self, template_id: TemplateId, update_id: str) -> int | None:
        """Return the version that an update made, if it is one of the last ones.

        0 for an update whose exposures are held; `None` for one that is not known.
        """
        manifest = self._manifest(template_id, self._claimed(template_id))
        return None if manifest is None else manifest.updates.get(update_id)

    def current(self, template_id: TemplateId) -> tuple[VisitReady, ...]:
        """Return the events of the exposures that the next version grows from."""
        number = self._claimed(template_id)
        if number <= self._retirement(template_id).through:
            return ()
        return self.events(template_id, number)

    def load(self, template_id: TemplateId, version: int) -> Coadd | None:
        """Return one version; `None` if there is no such version.

        Raises
        ------
        ChecksumMismatchError
            If the stored bytes have changed.
        StoreUnavailableError
            If the storage does not answer.
        """
        cached = self._cache.get((template_id, version))
        if cached is not None:
            return cached
        content = self._content(template_id, version)
        if content is None:
            return None
        coadd = decode_coadd(content, f"template {template_id} version {version}")
        self._cache.put((template_id, version), coadd)
        return coadd

    def events(self, template_id: TemplateId, version: int) -> tuple[VisitReady, ...]:
        """Return the events of the exposures that a version was built from."""
        manifest = self._manifest(template_id, version)
        return () if manifest is None else manifest.events

    def save(
        self, coadd: Coadd, events: Sequence[VisitReady], *, after: int, update_id: str
    ) -> int:
        """Store the version that follows another one, and return its number.

        See `streamdiff.ports.TemplateStore`.

        Raises
        ------
        InvalidExposureError
            If the coadd's id is not that of a template.
        VersionConflictError
            If another writer was faster.
        StoreUnavailableError
            If the storage does not answer.
        """
        template_id = coadd.exposure.id
        if not isinstance(template_id, TemplateId):
            raise InvalidExposureError(f"{template_id} is not the id of a template")
        content, version = encode_coadd(coadd), after + 1
        name = f"coadd-{_sha256(content)[:16]}.fits"
        self._folder.write(_path(template_id, version, name), content)
        manifest = Manifest(
            template_id=str(template_id),
            version=version,
            sha256={name: _sha256(content)},
            events=tuple(events),
            updates={update_id: version},
        )
        try:
            self._claim(template_id, manifest)
        except VersionConflictError:
            winner = self._manifest(template_id, version)
            if winner is None or name not in winner.sha256:
                self._folder.delete(_path(template_id, version, name))
            raise
        return version

    def hold(
        self,
        template_id: TemplateId,
        events: Sequence[VisitReady],
        *,
        after: int,
        update_id: str,
    ) -> None:
        """Keep the events of exposures that are too few for a version yet.

        See `streamdiff.ports.TemplateStore`.

        Raises
        ------
        VersionConflictError
            If another writer was faster.
        StoreUnavailableError
            If the storage does not answer.
        """
        manifest = Manifest(
            template_id=str(template_id),
            version=after + 1,
            sha256={},
            events=tuple(events),
            updates={update_id: 0},
        )
        self._claim(template_id, manifest)

    def retire(self, template_id: TemplateId, *, update_id: str) -> None:
        """Make a template invisible to `newest`; old versions stay loadable.

        An update that has retired a template once does not do it again.
        """
        if self._retirement(template_id).update_id == update_id:
            return
        retirement = Retirement(through=self.last(template_id), update_id=update_id)
        self._folder.write(f"{template_id}/{RETIRED}", retirement.encode())

    def collect(self, template_id: TemplateId) -> None:
        """Delete what the policy does not keep, and what interrupted writers left.

        A version loses its manifest first: it is whole as long as it exists. Warps
        are made anew when they are needed.
        """
        last, retired = self.last(template_id), self._retirement(template_id).through
        numbers = [n for n in self._numbers(template_id) if n <= last]
        found = {n: self._manifest(template_id, n) for n in numbers}
        kept = {n: m for n, m in found.items() if m is not None}
        oldest = 0 if self._keep.retired else retired + 1
        with_coadd = [n for n, manifest in kept.items() if manifest.sha256]
        if self._keep.versions:
            oldest = max(oldest, *with_coadd[-self._keep.versions :][:1])
        dropped = [n for n in kept if n < oldest]
        for version in dropped:
            self._folder.delete(_path(template_id, version, MANIFEST))
            del kept[version]
        for version in numbers:
            self._forget_unnamed(template_id, version, kept.get(version))
        if dropped:
            self._forget_warps(template_id, kept.values())

    def load_warp(self, template_id: TemplateId, event: VisitReady) -> Exposure | None:
        """Return the cached warp of an exposure onto a patch, if there is one."""
        path = self._warp_path(template_id, event)
        checksum, content = (self._folder.read(p) for p in (path + CHECKSUM, path))
        # A damaged cache is no cache.
        if content is None or checksum != _sha256(content).encode():
            return None
        try:
            return decode_exposure(content, path)
        except UnprocessableError:  # written by another version of the format
            return None

    def save_warp(
        self, template_id: TemplateId, event: VisitReady, warp: Exposure
    ) -> None:
        """Cache the warp of an exposure onto a patch."""
        path, content = self._warp_path(template_id, event), encode_exposure(warp)
        self._folder.write(path, content)
        self._folder.write(path + CHECKSUM, _sha256(content).encode())

    def _claim(self, template_id: TemplateId, manifest: Manifest) -> None:
        """Create the manifest of a version, unless there is one or a later one."""
        version, (update_id,) = manifest.version, manifest.updates
        previous = self._manifest(template_id, version - 1)
        known = [] if previous is None else list(previous.updates.items())
        updates = dict(known[1 - _REMEMBERED :]) | dict(manifest.updates)
        content = replace(manifest, updates=updates).encode()
        path = _path(template_id, version, MANIFEST)
        if self._folder.create(path, content):
            # A number may be free because what had it has been collected.
            is_last = self._claimed(template_id) == version
            if is_last or self.made_by(template_id, update_id) is not None:
                return
            self._folder.delete(path)
        raise VersionConflictError(
            f"template {template_id}: another writer has made version {version}"
        )

    def _claimed(self, template_id: TemplateId) -> int:
        """Return the highest number that has a manifest; 0 for none."""
        numbers = reversed(self._numbers(template_id))
        return next((n for n in numbers if self._exists(template_id, n)), 0)

    def _numbers(self, template_id: TemplateId) -> list[int]:
        """Return the numbers in use, of complete versions or not, increasing."""
        names = map(_VERSION.fullmatch, self._folder.names(str(template_id)))
        return sorted(int(match[1]) for match in names if match)

    def _exists(self, template_id: TemplateId, version: int) -> bool:
        return self._folder.exists(_path(template_id, version, MANIFEST))

    def _retirement(self, template_id: TemplateId) -> Retirement:
        path = f"{template_id}/{RETIRED}"
        content = self._folder.read(path)
        return Retirement() if content is None else Retirement.decode(content, path)

    def _manifest(self, template_id: TemplateId, version: int) -> Manifest | None:
        path = _path(template_id, version, MANIFEST)
        content = self._folder.read(path)
        return None if content is None else Manifest.decode(content, path)

    def _content(self, template_id: TemplateId, version: int) -> bytes | None:
        """Return the bytes of a coadd, as they were written."""
        manifest = self._manifest(template_id, version)
        if manifest is None or not manifest.sha256:
            return None
        ((name, expected),) = manifest.sha256.items()
        path = _path(template_id, version, name)
        content = self._folder.read(path)
        if content is None and not self._exists(template_id, version):
            return None  # it has just been collected
        found = "no file" if content is None else _sha256(content)
        if content is None or found != expected:
            raise ChecksumMismatchError(
                f"{path}: sha256 is {found}, the manifest says {expected}: "
                "rebuild the template"
            )
        return content

    def _forget_unnamed(
        self, template_id: TemplateId, version: int, manifest: Manifest | None
    ) -> None:
        """Delete the files of a version that its manifest, if any, does not name."""
        named = set() if manifest is None else {MANIFEST, *manifest.sha256}
        for name in self._folder.names(f"{template_id}/v{version:06d}"):
            if name not in named:
                self._folder.delete(_path(template_id, version, name))

    def _forget_warps(
        self, template_id: TemplateId, versions: Iterable[Manifest]
    ) -> None:
        """Delete the warps that none of some versions is made of."""
        used = {
            self._warp_path(template_id, event).rsplit("/", 1)[-1]
            for version in versions
            for event in version.events
        }
        for name in self._folder.names(f"{template_id}/{WARPS}"):
            if name.removesuffix(CHECKSUM) not in used:
                self._folder.delete(f"{template_id}/{WARPS}/{name}")

    def _warp_path(self, template_id: TemplateId, event: VisitReady) -> str:
        identity = json.dumps([self._warps_by, event_fields(event)], sort_keys=True)
        instrument = quote(event.instrument, safe="")
        digest = _sha256(identity.encode())[:16]
        name = f"{instrument}-{event.visit}-{event.detector}-{digest}"
        return f"{template_id}/{WARPS}/{name}.fits"


def _path(template_id: TemplateId, version: int, name: str) -> str:
    return f"{template_id}/v{version:06d}/{name}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
