"""What the core needs to read and keep: files and templates."""

from collections.abc import Sequence
from typing import Protocol

from streamdiff.model import Coadd, Exposure, TemplateId, VisitReady


class Files(Protocol):
    """Read access to the files that events name."""

    def fetch(self, uri: str, *, sha256: str | None = None) -> bytes:
        """Return the content of a file.

        Raises
        ------
        ForbiddenUriError
            If the URI lies outside the configured roots.
        TooLargeError, ChecksumMismatchError
            If size or checksum are not as they must be.
        UnreadableImageError
            If there is no such file.
        StoreUnavailableError
            If the storage does not answer.
        """
        ...


class TemplateStore(Protocol):
    """Immutable, numbered versions of coadded templates."""

    def newest(self, template_id: TemplateId) -> int | None:
        """Return the highest complete version; `None` if there is none."""
        ...

    def load(self, template_id: TemplateId, version: int) -> Coadd | None:
        """Return one version; `None` if there is no such version.

        Raises
        ------
        ChecksumMismatchError
            If the stored bytes have changed.
        StoreUnavailableError
            If the storage does not answer.
        """
        ...

    def events(self, template_id: TemplateId, version: int) -> tuple[VisitReady, ...]:
        """Return the events of the exposures that a version was built from."""
        ...

    def save(self, coadd: Coadd, events: Sequence[VisitReady]) -> int:
        """Store the next version of the coadd's template and return its number.

        A reader sees the whole version or none of it; of two writers each gets
        a version of its own.
        """
        ...

    def retire(self, template_id: TemplateId) -> None:
        """Make a template invisible to `newest`; old versions stay loadable."""
        ...

    def load_warp(self, template_id: TemplateId, event: VisitReady) -> Exposure | None:
        """Return the cached warp of an exposure onto a patch, if there is one."""
        ...

    def save_warp(
        self, template_id: TemplateId, event: VisitReady, warp: Exposure
    ) -> None:
        """Cache the warp of an exposure onto a patch."""
        ...
