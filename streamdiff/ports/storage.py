"""What the core needs to read and keep: files and templates."""

from abc import abstractmethod
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


class ExposureSpool(Sequence[Exposure]):
    """A sequence of exposures that may be more than memory holds."""

    @abstractmethod
    def append(self, exposure: Exposure) -> None:
        """Take one more exposure.

        Raises
        ------
        StoreUnavailableError
            If there is no room for it.
        """


class TemplateReader(Protocol):
    """Read access to immutable, numbered versions of coadded templates."""

    def newest(self, template_id: TemplateId) -> int | None:
        """Return the highest version that has a coadd; `None` if there is none."""
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


class TemplateStore(TemplateReader, Protocol):
    """Keeps the versions of coadded templates, and what they are made of."""

    def last(self, template_id: TemplateId) -> int:
        """Return the last number in use, with or without a coadd; 0 for none."""
        ...

    def made_by(self, template_id: TemplateId, update_id: str) -> int | None:
        """Return the version that an update made, if it is one of the last ones.

        0 for an update whose exposures are held; `None` for one that is not known.
        """
        ...

    def current(self, template_id: TemplateId) -> tuple[VisitReady, ...]:
        """Return the events of the exposures that the next version grows from.

        Those of the newest version, or those that are held since.
        """
        ...

    def events(self, template_id: TemplateId, version: int) -> tuple[VisitReady, ...]:
        """Return the events of the exposures that a version was built from."""
        ...

    def save(
        self, coadd: Coadd, events: Sequence[VisitReady], *, after: int, update_id: str
    ) -> int:
        """Store the version that follows another one, and return its number.

        A reader sees the whole version or none of it.

        Parameters
        ----------
        coadd : Coadd
        events : sequence of VisitReady
            The exposures that it was built from.
        after : int
            `last` when these were chosen.
        update_id : str
            Event that asked for it.

        Raises
        ------
        VersionConflictError
            If another writer was faster: choose again, from what it has made.
        """
        ...

    def hold(
        self,
        template_id: TemplateId,
        events: Sequence[VisitReady],
        *,
        after: int,
        update_id: str,
    ) -> None:
        """Keep the events of exposures that are too few for a version yet.

        They take a number, but make no coadd; see `save`.

        Raises
        ------
        VersionConflictError
            If another writer was faster.
        """
        ...

    def retire(self, template_id: TemplateId, *, update_id: str) -> None:
        """Make a template invisible to `newest`; old versions stay loadable.

        An update that has retired a template once does not do it again.
        """
        ...

    def collect(self, template_id: TemplateId) -> None:
        """Delete what the policy of the store does not keep."""
        ...

    def load_warp(self, template_id: TemplateId, event: VisitReady) -> Exposure | None:
        """Return the cached warp of an exposure onto a patch, if there is one."""
        ...

    def save_warp(
        self, template_id: TemplateId, event: VisitReady, warp: Exposure
    ) -> None:
        """Cache the warp of an exposure onto a patch."""
        ...
