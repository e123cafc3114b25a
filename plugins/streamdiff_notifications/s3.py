"""Notifications of object storage that an object was made.

The format is that of Amazon S3 (event message structure, version 2.x), which Ceph and
MinIO send as well: a list ``Records`` of which each names a bucket and a key.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

import fsspec
from astropy.io import fits

from streamdiff.errors import ConfigError, UndecodableError
from streamdiff.model import TemplateUpdate, VisitReady
from streamdiff.ports import ConsumedRecord
from streamdiff_notifications.json_message import read_object

# AWS and older Ceph write s3:ObjectCreated:Put, newer Ceph ObjectCreated:Put.
_CREATED = re.compile(r"(s3:)?ObjectCreated:")
_BLOCK = 2880
_MAX_BLOCKS = 200
_END = re.compile(rb"END {77}")
# Field of visit-ready -> keyword of the primary header, as streamdiff writes it.
_KEYWORDS: Mapping[str, str] = {
    "instrument": "INSTRUME",
    "visit": "VISIT",
    "detector": "DETECTOR",
    "band": "BAND",
    "physical_filter": "FILTER",
    "midpoint_mjd_tai": "MJD-TAI",
    "exposure_time_s": "EXPTIME",
}
_OPTIONAL = frozenset({"physical_filter"})
_TYPES: Mapping[str, Callable[[Any], Any]] = {
    "instrument": str,
    "visit": int,
    "detector": int,
    "band": str,
    "physical_filter": str,
    "midpoint_mjd_tai": float,
    "exposure_time_s": float,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class S3ObjectCreated:
    r"""Makes a visit-ready event of each image that was put into a bucket.

    Attributes
    ----------
    buckets : tuple of str
        Those whose objects are exposures; of others no header is read. None: none is.
    key_pattern : str
        Regular expression for keys of exposures, all others are passed over. Its
        named groups are fields of visit-ready, such as
        ``(?P<instrument>\w+)/.*_(?P<detector>\d+)\.fits``; they win over the header.
    uri : str
        Of an object, by ``{bucket}`` and ``{key}``: ``file:///mnt/{bucket}/{key}``
        where the bucket is mounted.
    keywords : mapping of str to str
        Fields of visit-ready, and the keywords of the primary header that have them,
        where these are not streamdiff's own.
    template_name : str
        Flavour of the template that all are subtracted from.

    Raises
    ------
    ConfigError
        If the pattern is no regular expression, or a field is not one of visit-ready.
    """

    buckets: tuple[str, ...] = ()
    key_pattern: str = r".*\.fits(\.fz|\.gz)?"
    uri: str = "s3://{bucket}/{key}"
    keywords: Mapping[str, str] = field(default_factory=dict)
    template_name: str = "deep"

    def __post_init__(self) -> None:
        try:
            groups = set(re.compile(self.key_pattern).groupindex)
        except re.error as err:
            raise ConfigError(f"key_pattern = {self.key_pattern!r}: {err}") from err
        if unknown := sorted((groups | set(self.keywords)) - set(_KEYWORDS)):
            raise ConfigError(
                f"{unknown[0]} is no field that can be given: {', '.join(_KEYWORDS)}"
            )

    def decode(self, record: ConsumedRecord) -> Sequence[VisitReady | TemplateUpdate]:
        """Return an event for each exposure that was made.

        The same notification gives the same events, however often it comes.

        Raises
        ------
        UndecodableError
            If the message is no notification, or an exposure's header can not be
            read or lacks a field.
        """
        notices = read_object(record).get("Records")
        if not isinstance(notices, list):
            raise UndecodableError("no notification of object storage: no Records")
        try:
            return tuple(self._events(notices))
        except (KeyError, TypeError, AttributeError) as err:
            raise UndecodableError(f"no S3 record: {err!r:.200}") from err

    def _events(self, notices: Sequence[Mapping[str, Any]]) -> Iterator[VisitReady]:
        for notice in notices:
            if not _CREATED.match(notice["eventName"]):
                continue
            bucket = notice["s3"]["bucket"]["name"]
            stored = notice["s3"]["object"]
            key = unquote_plus(stored["key"])
            named = re.fullmatch(self.key_pattern, key)
            if bucket in self.buckets and named:
                told = (stored.get("versionId"), stored.get("eTag"))
                version = next(filter(None, told), "")
                yield self._event(notice, bucket, key, version, named.groupdict())

    def _event(
        self,
        notice: Mapping[str, Any],
        bucket: str,
        key: str,
        version: str,
        named: Mapping[str, str | None],
    ) -> VisitReady:
        if ".." in key.split("/"):
            raise UndecodableError(f"key {key!r} leads out of its bucket")
        uri = self.uri.format(bucket=bucket, key=key)
        fields = {name: value for name, value in named.items() if value is not None}
        keywords = {**_KEYWORDS, **self.keywords}
        if wanted := set(_KEYWORDS) - _OPTIONAL - set(fields):
            header = _primary_header(uri)
            fields = {n: header.get(k) for n, k in keywords.items()} | fields
            if missing := sorted(n for n in wanted if fields.get(n) is None):
                lacking = ", ".join(f"{keywords[name]} ({name})" for name in missing)
                raise UndecodableError(f"{uri}: the header lacks {lacking}")
        try:
            values = {n: _TYPES[n](v) for n, v in fields.items() if v is not None}
            return VisitReady(
                event_id=f"{bucket}/{key}#{version}",
                image_uri=uri,
                published_at=_time(notice["eventTime"]),
                template_name=self.template_name,
                **values,
            )
        except ValueError as err:
            raise UndecodableError(f"{uri}: {err}") from err


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _primary_header(uri: str) -> fits.Header:
    """Return the first header of a FITS file; no more of it is read."""
    content = b""
    try:
        with fsspec.open(uri, "rb") as file:
            while not _END.search(content) and len(content) < _MAX_BLOCKS * _BLOCK:
                block = file.read(_BLOCK)
                if not block:
                    break
                content += block
        header = fits.Header.fromstring(content.decode("ascii"))
    except Exception as err:  # hostile bytes, and whatever a storage raises
        raise UndecodableError(f"{uri}: can not be read: {err!s:.200}") from err
    if "SIMPLE" not in header:
        raise UndecodableError(f"{uri} is no FITS file")
    return header
