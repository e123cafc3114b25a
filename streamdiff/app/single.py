"""One image without a stream: subtract a template, or coadd exposures."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import scipy.fft

from streamdiff.adapters.files import RootedFiles
from streamdiff.adapters.fits.reader import FitsReader, describe
from streamdiff.adapters.spool import spool
from streamdiff.app.wiring import (
    build_chosen,
    comparison,
    exposure_source,
    plugin_labels,
    plugin_names,
    residual_gate,
)
from streamdiff.config import Settings
from streamdiff.errors import ConfigError, UnprocessableError
from streamdiff.model import (
    Coadd,
    Difference,
    Exposure,
    Skip,
    Template,
    TemplateId,
    VisitReady,
)
from streamdiff.pipeline.cover import template_on_grid
from streamdiff.pipeline.exposures import ExposureSource
from streamdiff.pipeline.gate import ResidualGate
from streamdiff.pipeline.result import VisitResult
from streamdiff.pipeline.results import (
    checked_coadd,
    checked_registration,
    checked_warp,
)
from streamdiff.pipeline.stage import StageCalls
from streamdiff.plugins import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Workbench:
    """The configured plugins, applied to files that the user names.

    Attributes
    ----------
    settings : Settings
    registry : Registry
    """

    settings: Settings
    registry: Registry

    def subtract(
        self, science: Path, template: Path, *, catalogue: Path | None = None
    ) -> VisitResult:
        """Return the difference of two files; the template may have another WCS.

        One that leaves much of stars is as good as any other here: see `problem`.

        Parameters
        ----------
        science, template : Path
        catalogue : Path, optional
            Table of the stars on the science image.

        Raises
        ------
        UnprocessableError
            If a file can not be read or the images not be subtracted.
        """
        named = [science, template, *([catalogue] if catalogue else [])]
        exposures = self._exposures(*named)
        calls = self._calls()
        event = self.event(science, lenient=True)
        if catalogue is not None:
            event = replace(event, catalogue_uri=catalogue.resolve().as_uri())
        image = exposures.load(event, calls)
        sky = exposures.load(self.event(template, lenient=True), calls)
        warper = build_chosen(self.settings, self.registry, "warp")

        def cover(exposure: Exposure) -> Template:
            label = calls.label("warp")
            return template_on_grid(sky, exposure, warper, label)

        compared = replace(
            comparison(self.settings, self.registry), gate=ResidualGate()
        )
        with scipy.fft.set_workers(self.settings.stream.threads):
            return compared.run(event, image, cover, calls)

    def pair(self, science: Path, template: Path) -> tuple[Exposure, Exposure]:
        """Return two exposures on the pixels of the first, registered if configured.

        Raises
        ------
        UnprocessableError
            If a file can not be read, or an exposure has no PSF.
        """
        exposures, calls = self._exposures(science, template), self._calls()
        image, sky = (
            exposures.load(self.event(path, lenient=True), calls)
            for path in (science, template)
        )
        label, warper, registrar = (
            calls.label("warp"),
            build_chosen(self.settings, self.registry, "warp"),
            build_chosen(self.settings, self.registry, "register"),
        )
        on_grid = template_on_grid(sky, image, warper, label).exposure
        if registrar is None:
            return image, on_grid
        result = calls("register", registrar.register, image, on_grid)
        with calls.judging("register") as plugin:
            found = checked_registration(plugin, result)
        moved = replace(image, wcs=found.wcs)
        on_grid = template_on_grid(sky, moved, warper, label).exposure
        return image, replace(on_grid, wcs=image.wcs)

    def problem(self, difference: Difference) -> str:
        """Return why the service would fail a visit with such a difference.

        Empty if it would not.
        """
        return residual_gate(self.settings).problem(difference)

    def coadd(
        self, paths: Sequence[Path], template_id: TemplateId, like: Path | None
    ) -> Coadd:
        """Return the coadd of files, on the pixels of one of them.

        Parameters
        ----------
        paths : sequence of Path
        template_id : TemplateId
            Identity of the coadd.
        like : Path, optional
            File whose WCS and shape it has; the first of the exposures by
            default.

        Raises
        ------
        UnprocessableError
            If a file can not be read, or there is nothing to coadd.
        """
        grid_path = paths[0] if like is None else like
        source = self._exposures(*paths, grid_path)
        calls = self._calls()
        events = _told_apart([self.event(path, lenient=True) for path in paths])
        grid = source.read(self.event(grid_path, lenient=True), calls)
        warper = build_chosen(self.settings, self.registry, "warp")
        coadder = build_chosen(self.settings, self.registry, "coadd")
        with spool() as warps:
            for event in events:
                exposure = source.load(event, calls)
                warp = calls("warp", warper.warp, exposure, grid.wcs, grid.shape)
                with calls.judging("warp") as plugin:
                    warps.append(checked_warp(plugin, warp, grid.shape, exposure))
            result = calls("coadd", coadder.coadd, template_id, warps)
        if isinstance(result, Skip):
            raise UnprocessableError(f"{result.reason}: {result.detail}")
        with calls.judging("coadd") as plugin:
            return checked_coadd(plugin, template_id, result)

    def event(self, path: Path, *, lenient: bool = False) -> VisitReady:
        """Return the event that announces a file, from the file's own header."""
        uri = path.resolve().as_uri()
        content = self._files(path).fetch(uri)
        return describe(
            content,
            uri,
            self._reader(),
            published_at=datetime.now(UTC),
            lenient=lenient,
        )

    def _reader(self) -> FitsReader:
        reader = build_chosen(self.settings, self.registry, "read")
        if not isinstance(reader, FitsReader):
            raise ConfigError(
                f"[pipeline] read = {self.settings.pipeline.read!r}: files named on "
                "the command line are read by 'fits'; publish events for others"
            )
        return reader

    def _exposures(self, *paths: Path) -> ExposureSource:
        return exposure_source(self.settings, self.registry, self._files(*paths))

    def _calls(self) -> StageCalls:
        return StageCalls(
            monotonic=time.monotonic,
            names=plugin_names(self.settings),
            labels=plugin_labels(self.settings, self.registry),
        )

    def _files(self, *paths: Path) -> RootedFiles:
        """Return access to files whose names the user gave, and to nothing else."""
        return RootedFiles(
            roots=[path.resolve().parent.as_uri() for path in paths],
            max_mib=self.settings.input.max_image_mib,
        )


def _told_apart(events: Sequence[VisitReady]) -> Sequence[VisitReady]:
    """Return events in which different images are of different visits.

    Headers of plain frames often name no visit, and some repeat one.
    """
    images = list(dict.fromkeys(event.image_sha256 for event in events))
    if len({event.exposure_id for event in events}) >= len(images):
        return events
    return [
        replace(event, visit=images.index(event.image_sha256) + 1) for event in events
    ]
