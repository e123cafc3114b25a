"""The visit pipeline with stages of a few lines."""

from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime

import numpy as np

from streamdiff.model import (
    DETECTION_COLUMNS,
    Column,
    Convolved,
    DiaSources,
    Difference,
    FluxScale,
    Noise,
    Provenance,
    Template,
    TemplateUse,
    VisitReady,
)
from streamdiff.pipeline.compare import Comparison
from streamdiff.pipeline.exposures import ExposureSource
from streamdiff.pipeline.search import Search
from streamdiff.pipeline.visit import VisitPipeline
from streamdiff.testing import PointSource, Scene

SHAPE = (64, 80)
SCENE = Scene(sources=(PointSource(20, 30, 4e3),), shape=SHAPE)
SCIENCE = SCENE.add(PointSource(50, 40, 5e3)).observe(fwhm=3, noise=10, seed=2, visit=7)
TEMPLATE = SCENE.observe(fwhm=3, noise=10, seed=1)
EVENT = VisitReady(
    event_id="e1",
    instrument=SCIENCE.id.instrument,
    visit=7,
    detector=SCIENCE.id.detector,
    band=SCIENCE.id.band,
    midpoint_mjd_tai=61000.0,
    exposure_time_s=30.0,
    image_uri="memory://7.fits",
    published_at=datetime(2026, 11, 20, tzinfo=UTC),
)
NAMES = {kind: f"my_{kind}" for kind in ("read", "psf", "subtract", "find", "score")}


@dataclass(frozen=True)
class Returns:
    """A plugin whose one method returns, or raises, what it is told."""

    result: object

    def _answer(self, *_, **__):
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    read = estimate = subtract = decorrelate = find = score = cover = register = _answer


def subtracted(**changes):
    plain = Difference(
        id=SCIENCE.id,
        image=2 * (SCIENCE.image - TEMPLATE.image),
        variance=4 * (SCIENCE.variance + TEMPLATE.variance),
        mask=SCIENCE.mask,
        psf=SCIENCE.psf,
        wcs=SCIENCE.wcs,
        flux_scale=FluxScale.SCIENCE,
        kernel_sum=2.0,
        convolved=Convolved.NONE,
        noise=Noise.WHITE,
    )
    return replace(plain, **changes)


class BrightestPixel:
    def find(self, difference):
        y, x = np.unravel_index(difference.image.argmax(), difference.shape)
        values = {c.name: [1] for c in DETECTION_COLUMNS} | {"x": [x], "y": [y]}
        return difference, DiaSources(DETECTION_COLUMNS, values)


class Peak:
    columns = (Column("psfFlux", "f4", "nJy", "Value of the peak pixel"),)

    def measure(self, sources, images):
        row, column = sources["y"].astype(int), sources["x"].astype(int)
        return {"psfFlux": images.difference.image[row, column]}


def pipeline(science=SCIENCE, template=None, **stages):
    template = template or Template(
        exposure=TEMPLATE,
        coverage=0.9,
        uses=(TemplateUse(template_id="deep/1/2/r", version=3, fraction=0.9),),
    )
    chosen = {
        "subtract": Returns(subtracted()),
        "min_template_coverage": 0.5,
        "flux_scale": FluxScale.TEMPLATE,
        "provenance": Provenance(config_hash="c0ffee"),
    }
    searched = {"find": BrightestPixel(), "measure": {"peak": Peak()}}
    searched |= {f.name: stages.pop(f.name) for f in fields(Search) if f.name in stages}
    return VisitPipeline(
        exposures=ExposureSource(
            reader=Returns(science),
            estimator=stages.pop("psf", Returns(SCIENCE.psf)),
            files=None,
        ),
        templates=Returns(template),
        comparison=Comparison(search=Search(**searched), **(chosen | stages)),
        plugin_names=NAMES,
        monotonic=lambda: 0.0,
    )
