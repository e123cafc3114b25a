"""The program itself: Python, packages, plugins, schemas."""

import platform
import sys
from collections.abc import Iterator
from dataclasses import fields
from importlib import metadata

from packaging.requirements import Requirement
from packaging.version import Version

from streamdiff import __version__
from streamdiff.adapters.avro import schemas
from streamdiff.app.doctor.finding import Finding
from streamdiff.app.environment import DISABLED
from streamdiff.config import Settings
from streamdiff.model import VisitReady
from streamdiff.plugins import Registry

_OLDEST_PYTHON = (3, 11)
_OURS = "streamdiff"
# Scheme of a URI -> the extra that brings its client.
_SCHEMES = {"s3": "s3"}


def python_version() -> Iterator[Finding]:
    """Yield whether Python is new enough."""
    wanted = ".".join(map(str, _OLDEST_PYTHON))
    yield Finding(
        check="python",
        subject=sys.executable,
        detail=platform.python_version(),
        fix=""
        if sys.version_info[:2] >= _OLDEST_PYTHON
        else f"make the environment anew with Python {wanted} or later",
    )


def packages(settings: Settings) -> Iterator[Finding]:
    """Yield whether each package that is needed is there, and new enough."""
    yield Finding(check="package", subject=_OURS, detail=__version__)
    extras = _extras(settings)
    for text in metadata.requires(_OURS) or ():
        requirement = Requirement(text)
        if extra := _reason(requirement, extras):
            yield _package(requirement, extra)


def plugins(registry: Registry) -> Iterator[Finding]:
    """Yield the packages of plugins that were loaded, and those that were not."""
    counts: dict[str, int] = {}
    for plugin in registry.plugins.values():
        name = f"{plugin.origin.distribution} {plugin.origin.version}"
        counts[name] = counts.get(name, 0) + 1
    for name, number in sorted(counts.items()):
        yield Finding(check="plugins", subject=name, detail=f"{number} loaded")
    for broken in registry.broken:
        distribution = broken.origin.distribution
        yield Finding(
            check="plugins",
            subject=f"{distribution} {broken.origin.version}",
            detail=f"{broken.origin.entry_point}: {broken.error}",
            fix=f"pip install --upgrade {distribution}, or leave it out with "
            f"{DISABLED}={distribution}; streamdiff plugins list --json has the "
            "traceback",
        )


def message_schemas() -> Iterator[Finding]:
    """Yield whether the schemas are there, and of this release."""
    reinstall = f"pip install --force-reinstall {_OURS}=={__version__}"
    for record in schemas.MESSAGES:
        try:
            schema = schemas.load(record)
        except (LookupError, OSError, ValueError) as err:
            yield Finding(
                check="schema", subject=record, detail=str(err), fix=reinstall
            )
            continue
        missing = _needed(record) - {field["name"] for field in schema["fields"]}
        yield Finding(
            check="schema",
            subject=record,
            detail=f"has no {', '.join(sorted(missing))}: it is of an older release"
            if missing
            else str(schema["name"]),
            fix=reinstall if missing else "",
        )


def _needed(record: str) -> set[str]:
    return {f.name for f in fields(VisitReady)} if record == "visitReady" else set()


def _extras(settings: Settings) -> frozenset[str]:
    """Return the extras that a configuration needs."""
    uris = (settings.store.uri, *settings.input.roots)
    schemes = {uri.partition("://")[0] for uri in uris}
    needed = {_SCHEMES[scheme] for scheme in schemes & set(_SCHEMES)}
    return frozenset(needed | ({"registry"} if settings.stream.registry else set()))


def _reason(requirement: Requirement, extras: frozenset[str]) -> str:
    """Return what wants a requirement: the package or an extra; empty if nothing."""
    marker = requirement.marker
    if marker is None or marker.evaluate({"extra": ""}):
        return _OURS
    found = (extra for extra in extras if marker.evaluate({"extra": extra}))
    return next((f"{_OURS}[{extra}]" for extra in found), "")


def _package(requirement: Requirement, wanted_by: str) -> Finding:
    fix = f"pip install '{wanted_by}'"
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Finding(
            check="package",
            subject=requirement.name,
            detail=f"is not installed, {wanted_by} needs it",
            fix=fix,
        )
    is_new_enough = requirement.specifier.contains(Version(version), prereleases=True)
    return Finding(
        check="package",
        subject=requirement.name,
        detail=version if is_new_enough else f"{version}, not {requirement.specifier}",
        fix="" if is_new_enough else f"pip install --upgrade '{requirement}'",
    )
