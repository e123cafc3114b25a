"""From settings to where things are kept: images, templates, DiaObjects."""

import json
from typing import TYPE_CHECKING

from streamdiff import __version__
from streamdiff.adapters.files import RootedFiles
from streamdiff.adapters.fits.tiles import read_tiles
from streamdiff.adapters.template_store import FsspecTemplateStore, Keep
from streamdiff.app.wiring.plugins import build_chosen
from streamdiff.config import Settings
from streamdiff.errors import ConfigError
from streamdiff.imaging.skymap import SkyMap, Tessellation
from streamdiff.pipeline.exposures import ExposureSource
from streamdiff.plugins import Registry
from streamdiff.ports import Files

if TYPE_CHECKING:
    from streamdiff.adapters.catalogue import SqlCatalogue


def exposure_source(
    settings: Settings, registry: Registry, files: Files
) -> ExposureSource:
    """Return what reads exposures and estimates PSFs."""
    return ExposureSource(
        reader=build_chosen(settings, registry, "read"),
        estimator=build_chosen(settings, registry, "psf"),
        files=files,
    )


def rooted_files(settings: Settings) -> RootedFiles:
    """Return access to the files under the configured roots."""
    return RootedFiles(roots=settings.input.roots, max_mib=settings.input.max_image_mib)


def template_store(settings: Settings) -> FsspecTemplateStore:
    """Return the template store."""
    store = settings.store
    return FsspecTemplateStore(
        uri=store.uri,
        cache_mib=store.cache_mib,
        keep=Keep(versions=store.keep_versions, retired=store.keep_retired),
        warps_by=_warp_makers(settings),
    )


def _warp_makers(settings: Settings) -> str:
    """Return what the pixels of a warp depend on, besides its event."""
    kinds = {kind: getattr(settings.pipeline, kind) for kind in ("read", "psf", "warp")}
    options = {kind: settings.options(kind, name) for kind, name in kinds.items()}
    skymap = settings.store.skymap.model_dump()
    return json.dumps([__version__, kinds, options, skymap], sort_keys=True)


def sky_map(settings: Settings) -> Tessellation:
    """Return the division of the sky into patches.

    Raises
    ------
    ConfigError
        If its numbers do not go together, or the user's tiles can not be read.
    """
    chosen = settings.store.skymap
    if chosen.tiles:
        return read_tiles(chosen.tiles)
    try:
        return SkyMap(**chosen.model_dump(exclude={"tiles"}))
    except ValueError as err:
        raise ConfigError(f"[store.skymap] {err}") from err


def catalogue(settings: Settings) -> "SqlCatalogue":
    """Return the catalogue of DiaObjects; nothing is connected yet.

    Raises
    ------
    ConfigError
        If its URL names no database that can be used.
    """
    # What associates nothing is not to wait for SQLAlchemy.
    from streamdiff.adapters.catalogue import SqlCatalogue  # noqa: PLC0415

    chosen = settings.catalogue
    try:
        return SqlCatalogue(chosen.url, timeout_s=chosen.timeout_s)
    except ConfigError as err:
        raise ConfigError(f"[catalogue] url: {err}") from err
