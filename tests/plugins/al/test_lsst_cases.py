"""LSST's assertions on subtraction but for noise and masks: A6, A10, A11, A20, A21.

A12, A13 and A16 are in `test_kernel_candidates`, A17 and A18 in `test_preconvolve`.
"""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from streamdiff.config import PipelineSettings
from streamdiff.errors import SubtractionError
from streamdiff.model import (
    DETECTION_COLUMNS,
    DiaSources,
    Difference,
    FluxScale,
    GridPsf,
    MaskPlane,
    Outcome,
    Provenance,
    Reason,
    Template,
    VisitReady,
)
from streamdiff.model.psf import fwhm
from streamdiff.pipeline.compare import Comparison
from streamdiff.pipeline.search import Search
from streamdiff.pipeline.stage import StageCalls
from streamdiff.testing import GaussianProfile
from streamdiff_al import AlardLuptonSubtractor, Direction
from streamdiff_al.psf_shapes import mean_fwhm
from streamdiff_decorrelation import WhiteningDecorrelator

SETTINGS = PipelineSettings()


def subtract(science, template, **options):
    difference = AlardLuptonSubtractor(**options).subtract(science, template)
    assert isinstance(difference, Difference)
    return difference


@pytest.mark.parametrize(
    ("sigmas", "direction"),
    [((2.4, 2.0), Direction.TEMPLATE), ((2.0, 2.4), Direction.SCIENCE)],
)
def test_auto_is_the_direction_that_it_chooses(lsst_scene, sigmas, direction):  # A6
    science, template = (
        lsst_scene.observe(sigma, seed)
        for sigma, seed in zip(sigmas, (6, 7), strict=True)
    )
    auto = subtract(science, template)
    explicit = subtract(science, template, direction=direction)
    assert np.array_equal(auto.image, explicit.image)
    assert np.array_equal(auto.variance, explicit.variance)
    assert np.array_equal(auto.mask, explicit.mask)


class NothingFound:
    def find(self, difference):
        return difference, DiaSources(
            DETECTION_COLUMNS, {c.name: [] for c in DETECTION_COLUMNS}
        )


def compare(science, template, coverage):
    """Return what becomes of a visit whose template covers a part of it."""
    event = VisitReady(
        event_id="e1",
        instrument=science.id.instrument,
        visit=science.id.visit,
        detector=science.id.detector,
        band=science.id.band,
        midpoint_mjd_tai=61000.0,
        exposure_time_s=30.0,
        image_uri="memory://1.fits",
        published_at=datetime(2026, 11, 20, tzinfo=UTC),
    )
    comparison = Comparison(
        subtract=AlardLuptonSubtractor(),
        decorrelate=WhiteningDecorrelator(),
        search=Search(find=NothingFound(), measure={}),
        min_template_coverage=SETTINGS.min_template_coverage,
        flux_scale=FluxScale(SETTINGS.flux_scale),
        provenance=Provenance(config_hash="c0ffee"),
    )
    return comparison.run(
        event,
        science,
        lambda _: Template(exposure=template, coverage=coverage),
        StageCalls(monotonic=lambda: 0.0),
    )


@pytest.fixture(scope="module")
def wide_scene(lsst_scene):
    return replace(lsst_scene, shape=(400, 400), n_stars=80)


def covering(exposure, coverage):
    """Return an exposure that has data in its first columns alone."""
    mask = np.array(exposure.mask)
    mask[:, round(coverage * mask.shape[1]) :] = int(MaskPlane.NO_DATA)
    return replace(exposure, mask=mask)


def test_too_small_a_template_is_an_outcome(wide_scene):  # A10
    science, template = wide_scene.observe(2.4, 6), wide_scene.observe(2.0, 7)
    result = compare(science, covering(template, 0.09), 0.09)
    assert result.outcome is Outcome.SKIPPED
    assert result.reason is Reason.INSUFFICIENT_TEMPLATE_COVERAGE


# LSST's matching finds nothing to go by in 15 %, ours does.
@pytest.mark.parametrize("coverage", [0.15, 0.7])
def test_a_part_of_a_template_is_subtracted(wide_scene, coverage):  # A10
    science, template = wide_scene.observe(2.4, 6), wide_scene.observe(2.0, 7)
    result = compare(science, covering(template, coverage), coverage)
    assert result.outcome is Outcome.PROCESSED
    difference = result.products.images.difference
    outside = (MaskPlane.NO_DATA | MaskPlane.EDGE).in_mask(difference.mask)
    blank = wide_scene.blank(2.4) & ~outside
    assert difference.image[blank].std(dtype=float) == pytest.approx(2**0.5, rel=0.1)


def test_a_template_smaller_than_the_science_image_is_refused(lsst_scene):  # A11
    small = replace(lsst_scene, shape=(256, 240))
    with pytest.raises(SubtractionError, match="differ in shape"):
        subtract(lsst_scene.observe(2.4, 6), small.observe(2.0, 7))


def test_a_template_of_another_band_is_refused(lsst_scene):  # A11
    science, template = lsst_scene.observe(2.4, 6), lsst_scene.observe(2.0, 7)
    other = replace(template, id=replace(template.id, band="g"))
    with pytest.raises(SubtractionError, match="differ in band"):
        subtract(science, other)


@pytest.mark.parametrize("which", [0, 1])
def test_fluxes_in_unknown_units_are_said_to_be_so(lsst_scene, which):  # A11
    # LSST refuses; kernels find the scale of images without a zero point.
    exposures = [lsst_scene.observe(2.4, 6), lsst_scene.observe(2.0, 7)]
    exposures[which] = replace(exposures[which], photometric=False)
    assert not subtract(*exposures).photometric


def test_widths_of_constant_psfs_do_not_depend_on_the_position():  # A20
    psf = GaussianProfile(fwhm=4.7).psf((256, 256))
    direct = fwhm(psf.centred_at(127.5, 127.5))
    assert mean_fwhm(psf, (256, 256)) == pytest.approx(direct, rel=1e-13)
    stamps = np.tile(psf.stamp, (3, 3, 1, 1))
    nodes = np.array([0.0, 128, 255])
    grid = GridPsf(stamps=stamps, x=nodes, y=nodes)
    assert mean_fwhm(grid, (256, 256)) == pytest.approx(direct, rel=1e-7)


def test_the_difference_lies_where_the_science_image_does(lsst_scene):  # A21
    science = lsst_scene.observe(2.4, 6)
    difference = subtract(science, lsst_scene.observe(2.0, 7))
    assert difference.wcs is science.wcs
    assert difference.shape == science.shape
    assert difference.id == science.id
    assert difference.photometric == science.photometric
