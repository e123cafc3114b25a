"""What the store writes about templates, as JSON: manifests and retirements."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from streamdiff.errors import ChecksumMismatchError
from streamdiff.model import VisitReady


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a version consists of; it exists once its manifest does.

    Attributes
    ----------
    template_id : str
        Text of a `TemplateId`.
    version : int
    sha256 : mapping of str to str
        Checksum of each file of the version, by name; none if it has no coadd.
    events : tuple of VisitReady
        The exposures that it was made of, or that were too few to make one.
    updates : mapping of str to int
        The last updates of the template, by event_id: the version that each made,
        0 for none.
    """

    template_id: str
    version: int
    sha256: Mapping[str, str]
    events: tuple[VisitReady, ...]
    updates: Mapping[str, int] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the manifest as JSON."""
        content = {
            "template_id": self.template_id,
            "version": self.version,
            "sha256": dict(self.sha256),
            "events": [event_fields(event) for event in self.events],
            "updates": dict(self.updates),
        }
        return json.dumps(content, indent=1).encode()

    @classmethod
    def decode(cls, content: bytes, uri: str) -> "Manifest":
        """Return the manifest that `encode` gave.

        Raises
        ------
        ChecksumMismatchError
            If it is not one of ours, or damaged.
        """
        try:
            fields = json.loads(content)
            return cls(
                template_id=fields["template_id"],
                version=int(fields["version"]),
                sha256=fields["sha256"],
                events=tuple(_event(event) for event in fields["events"]),
                updates=dict(fields["updates"]),
            )
        except (KeyError, TypeError, ValueError) as err:
            raise ChecksumMismatchError(
                f"{uri}: not the manifest of a template: {err!r}"
            ) from err


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    """Which versions of a template are not to be used any more.

    Attributes
    ----------
    through : int
        The last of them; 0 for none.
    update_id : str
        Event that asked for it.
    """

    through: int = 0
    update_id: str = ""

    def encode(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, content: bytes, uri: str) -> "Retirement":
        """Return what `encode` gave.

        Raises
        ------
        ChecksumMismatchError
            If it is damaged.
        """
        try:
            fields = json.loads(content)
            return cls(
                through=int(fields["through"]), update_id=str(fields["update_id"])
            )
        except (KeyError, TypeError, ValueError) as err:
            raise ChecksumMismatchError(
                f"{uri} is damaged, retire the template again: {err!r}"
            ) from err


def event_fields(event: VisitReady) -> dict[str, Any]:
    """Return an event as what JSON can hold."""
    return asdict(event) | {"published_at": event.published_at.isoformat()}


def _event(fields: Mapping[str, Any]) -> VisitReady:
    published_at = datetime.fromisoformat(fields["published_at"])
    return VisitReady(**{**fields, "published_at": published_at})
