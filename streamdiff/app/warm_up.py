"""What is slow for the first time only: done before there is work."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import structlog
from astropy.wcs import WCS

from streamdiff.imaging.tile_map import Tile, TileMap
from streamdiff.model import (
    Coadd,
    ConstantPsf,
    Exposure,
    ExposureId,
    TemplateId,
    VisitReady,
)
from streamdiff.pipeline.cover import TemplateCover
from streamdiff.pipeline.gate import ResidualGate
from streamdiff.pipeline.visit import VisitPipeline
from streamdiff.stages import Warper

SIDE = 256
# Stars on a grid, farther apart than the kernel's stamps are wide; one of them fades.
STEP, FADES = 48, 3
STAMP = 21
NOISE, FLUX = 1.0, 3000.0

log = structlog.get_logger()


def warm_up(visits: VisitPipeline, warper: Warper) -> None:
    """Compare two small images, so that the machine code is there.

    Plugins that can not take such images are not refused: the error is logged, and
    what it kept from being warm gets so with the first visit.
    """
    rng = np.random.default_rng(0)
    science, sky = _observed(rng, sigma=1.8, changed=True), _observed(rng, sigma=1.5)
    sky.wcs.wcs.crpix += 0.3
    sky.wcs.wcs.set()
    # Two of them, so that they are merged.
    tile = Tile(wcs=sky.wcs, shape=sky.shape)
    skymap = TileMap(tiles={(0, 0): tile, (0, 1): tile})
    cover = TemplateCover(store=_Everywhere(sky), skymap=skymap, warper=warper).cover
    try:
        # So few stars may leave residuals: still, sources are to be measured.
        comparison = replace(visits.comparison, gate=ResidualGate())
        replace(visits, comparison=comparison).compare(_event(science), science, cover)
    except Exception:
        log.exception("warm_up_failed")


class _Everywhere:
    """A store whose only template is one image."""

    def __init__(self, sky: Exposure) -> None:
        self._sky = sky

    def newest(self, template_id: TemplateId) -> int:  # noqa: ARG002
        """Return the only version."""
        return 1

    def load(self, template_id: TemplateId, version: int) -> Coadd:  # noqa: ARG002
        """Return the image."""
        n_image = np.ones(self._sky.shape, np.int32)
        sky = replace(self._sky, id=template_id)
        return Coadd(exposure=sky, n_image=n_image, inputs=())


def _observed(
    rng: np.random.Generator, *, sigma: float, changed: bool = False
) -> Exposure:
    offset = np.arange(STAMP) - STAMP // 2
    profile = np.exp(-0.5 * (offset / sigma) ** 2)
    stamp = np.outer(profile, profile) / profile.sum() ** 2
    image = NOISE * rng.standard_normal((SIDE, SIDE)).astype(np.float32)
    for number, (row, column) in enumerate(_places()):
        flux = 0.5 * FLUX if changed and number == FADES else FLUX
        image[row : row + STAMP, column : column + STAMP] += flux * stamp
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.cdelt = -1e-4, 1e-4
    wcs.wcs.crpix = SIDE / 2, SIDE / 2
    return Exposure(
        id=ExposureId(instrument="warm-up", visit=0, detector=0, band="none"),
        image=image,
        variance=np.full((SIDE, SIDE), NOISE**2, np.float32),
        mask=np.zeros((SIDE, SIDE), np.int32),
        psf=ConstantPsf(stamp),
        wcs=wcs,
        midpoint_mjd_tai=0.0,
        exposure_time_s=1.0,
    )


def _places() -> Iterator[tuple[int, int]]:
    """Yield the first row and column of every star."""
    first = (STEP - STAMP) // 2
    places = range(first, SIDE - STAMP, STEP)
    return ((row, column) for row in places for column in places)


def _event(exposure: Exposure) -> VisitReady:
    identity = exposure.exposure_id
    return VisitReady(
        event_id=identity.instrument,
        instrument=identity.instrument,
        visit=identity.visit,
        detector=identity.detector,
        band=identity.band,
        midpoint_mjd_tai=exposure.midpoint_mjd_tai,
        exposure_time_s=exposure.exposure_time_s,
        image_uri="memory://warm-up",
        published_at=datetime.fromtimestamp(0, UTC),
    )
