"""Templates as files: on a disk or in object storage.

::

    <root>/<name>/<tract>/<patch>/<band>/
        v000001/coadd.fits      claims the number: created, never replaced
        v000001/manifest.json   written last: the version exists once this does
        retired.json            the last version that is not to be used any more
        warps/<instrument>-<visit>-<detector>-<hash of the event>.fits
"""

import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Sequence
from urllib.parse import quote

from streamdiff.adapters.fits.coadd import decode_coadd, encode_coadd
from streamdiff.adapters.fits.exposure import decode_exposure, encode_exposure
from streamdiff.adapters.folder import Folder
from streamdiff.adapters.manifest import Manifest, event_fields
from streamdiff.errors import (
    ChecksumMismatchError,
    InvalidExposureError,
    StoreUnavailableError,
    UnprocessableError,
)
from streamdiff.model import Coadd, Exposure, TemplateId, VisitReady
from streamdiff.model.psf import ConstantPsf, GridPsf

COADD, MANIFEST, RETIRED = "coadd.fits", "manifest.json", "retired.json"
_VERSION = re.compile(r"v(\d{6,})")
MAX_RACES = 100


class FsspecTemplateStore:
    """Immutable, numbered versions of coadds below a URI.

    Parameters
    ----------
    uri : str
        Such as ``file:///var/lib/streamdiff/templates`` or ``s3://bucket/path``.
    cache_mib : float
        Memory for coadds that have been loaded; the least recently used go first.

    Raises
    ------
    ConfigError
        If there is no such kind of file system.
    """

    def __init__(self, uri: str, cache_mib: float = 2048) -> None:
        self._folder = Folder.at(uri)
        self._cache = _CoaddCache(int(cache_mib * 2**20))

    def newest(self, template_id: TemplateId) -> int | None:
        """Return the highest complete version; `None` if there is none."""
        retired = self._retired(template_id)
        for version in reversed(self._numbers(template_id)):
            if version <= retired:
                return None
            if self._folder.exists(_path(template_id, version, MANIFEST)):
                return version
        return None

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
        manifest = self._manifest(template_id, version)
        if manifest is None:
            return None
        coadd = decode_coadd(
            self._checked(template_id, manifest, COADD),
            f"template {template_id} version {version}",
        )
        self._cache.put((template_id, version), coadd)
        return coadd

    def events(self, template_id: TemplateId, version: int) -> tuple[VisitReady, ...]:
        """Return the events of the exposures that a version was built from."""
        manifest = self._manifest(template_id, version)
        return () if manifest is None else manifest.events

    def save(self, coadd: Coadd, events: Sequence[VisitReady]) -> int:
        """Store the next version of the coadd's template and return its number.

        A reader sees the whole version or none of it; of two writers each gets
        a version of its own.

        Raises
        ------
        InvalidExposureError
            If the coadd's id is not that of a template.
        StoreUnavailableError
            If the storage does not answer.
        """
        template_id = coadd.exposure.id
        if not isinstance(template_id, TemplateId):
            raise InvalidExposureError(f"{template_id} is not the id of a template")
        content = encode_coadd(coadd)
        version = self._claim(template_id, content)
        manifest = Manifest(
            template_id=str(template_id),
            version=version,
            sha256={COADD: _sha256(content)},
            events=tuple(events),
        )
        if not self._folder.create(
            _path(template_id, version, MANIFEST), manifest.encode()
        ):
            raise StoreUnavailableError(
                f"template {template_id}: another writer has finished version {version}"
            )
        return version

    def retire(self, template_id: TemplateId) -> None:
        """Make a template invisible to `newest`; old versions stay loadable."""
        through = max(self._numbers(template_id), default=0)
        content = json.dumps({"through": through}).encode()
        self._folder.write(f"{template_id}/{RETIRED}", content)

    def load_warp(self, template_id: TemplateId, event: VisitReady) -> Exposure | None:
        """Return the cached warp of an exposure onto a patch, if there is one."""
        path = _warp_path(template_id, event)
        content = self._folder.read(path)
        if content is None:
            return None
        try:
            return decode_exposure(content, path)
        except UnprocessableError:  # a damaged cache is no cache
            return None

    def save_warp(
        self, template_id: TemplateId, event: VisitReady, warp: Exposure
    ) -> None:
        """Cache the warp of an exposure onto a patch."""
        self._folder.write(_warp_path(template_id, event), encode_exposure(warp))

    def _numbers(self, template_id: TemplateId) -> list[int]:
        """Return the numbers in use, of complete versions or not, increasing."""
        names = map(_VERSION.fullmatch, self._folder.names(str(template_id)))
        return sorted(int(match[1]) for match in names if match)

    def _claim(self, template_id: TemplateId, content: bytes) -> int:
        """Write the coadd under the next free number and return that."""
        for _ in range(MAX_RACES):
            version = max(self._numbers(template_id), default=0) + 1
            if self._folder.create(_path(template_id, version, COADD), content):
                return version
        raise StoreUnavailableError(
            f"template {template_id}: lost {MAX_RACES} races for the next version"
        )

    def _retired(self, template_id: TemplateId) -> int:
        path = f"{template_id}/{RETIRED}"
        content = self._folder.read(path)
        try:
            return 0 if content is None else int(json.loads(content)["through"])
        except (KeyError, TypeError, ValueError) as err:
            raise ChecksumMismatchError(
                f"{path} is damaged, retire the template again: {err!r}"
            ) from err

    def _manifest(self, template_id: TemplateId, version: int) -> Manifest | None:
        path = _path(template_id, version, MANIFEST)
        content = self._folder.read(path)
        return None if content is None else Manifest.decode(content, path)

    def _checked(self, template_id: TemplateId, manifest: Manifest, name: str) -> bytes:
        path = _path(template_id, manifest.version, name)
        content = self._folder.read(path)
        found = "no file" if content is None else _sha256(content)
        expected = manifest.sha256.get(name)
        if content is None or found != expected:
            raise ChecksumMismatchError(
                f"{path}: sha256 is {found}, the manifest says {expected}: "
                "rebuild the template"
            )
        return content


class _CoaddCache:
    """The coadds used last, as many as a number of bytes holds."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._coadds: OrderedDict[tuple[TemplateId, int], Coadd] = OrderedDict()

    def get(self, key: tuple[TemplateId, int]) -> Coadd | None:
        """Return a coadd, if it is here."""
        if key not in self._coadds:
            return None
        self._coadds.move_to_end(key)
        return self._coadds[key]

    def put(self, key: tuple[TemplateId, int], coadd: Coadd) -> None:
        """Keep a coadd, and drop others to make room for it."""
        self._coadds[key] = coadd
        while sum(map(_size, self._coadds.values())) > self._max_bytes:
            self._coadds.popitem(last=False)


def _size(coadd: Coadd) -> int:
    exposure, psf = coadd.exposure, coadd.exposure.psf
    stamps = {ConstantPsf: "stamp", GridPsf: "stamps"}.get(type(psf))
    planes = [
        exposure.image,
        exposure.variance,
        exposure.mask,
        exposure.covariance_factor,
        coadd.n_image,
        getattr(psf, stamps) if stamps else 0,
    ]
    return sum(getattr(plane, "nbytes", 0) for plane in planes)


def _path(template_id: TemplateId, version: int, name: str) -> str:
    return f"{template_id}/v{version:06d}/{name}"


def _warp_path(template_id: TemplateId, event: VisitReady) -> str:
    identity = json.dumps(event_fields(event), sort_keys=True).encode()
    instrument = quote(event.instrument, safe="")
    name = f"{instrument}-{event.visit}-{event.detector}-{_sha256(identity)[:16]}"
    return f"{template_id}/warps/{name}.fits"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
