"""Sky sources; E10 of LSST's assertions."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from streamdiff.imaging.empty_places import empty_places
from streamdiff.imaging.point_source import forced_flux
from streamdiff.model import (
    UNUSABLE,
    Column,
    Convolved,
    Difference,
    ExposureId,
    FluxScale,
    MaskPlane,
    Noise,
)
from streamdiff.pipeline.sky_sources import SkySources, sky_metrics
from streamdiff.testing import GaussianProfile, PointSource, Scene
from streamdiff_detection import ScorePeaksFinder

SHAPE = (256, 256)
PROFILE = GaussianProfile(fwhm=2.4 * 2.3548)
PLACES = np.random.default_rng(1).uniform(20, 236, (20, 2))
FLUX = 500.0


@pytest.fixture(scope="module")
def found():
    """Return a difference with 20 stars left in it, searched."""
    scene = Scene(sources=tuple(PointSource(*p, FLUX) for p in PLACES), shape=SHAPE)
    difference = Difference(
        id=ExposureId(instrument="test", visit=7, detector=3, band="r"),
        image=scene.render(PROFILE) + np.random.default_rng(6).normal(size=SHAPE),
        variance=np.ones(SHAPE),
        mask=np.zeros(SHAPE),
        psf=PROFILE.psf(SHAPE),
        wcs=scene.wcs,
        flux_scale=FluxScale.TEMPLATE,
        kernel_sum=1.0,
        convolved=Convolved.NONE,
        noise=Noise.WHITE,
    )
    return ScorePeaksFinder().find(difference)


def test_sky_sources_are_on_the_sky(found):  # E10
    difference, sources = found
    sky = SkySources(n=5).place(difference)
    assert len(sky) == 5
    apart = np.hypot(
        sky["x"][:, np.newaxis] - sources["x"], sky["y"][:, np.newaxis] - sources["y"]
    )
    assert apart.min() >= difference.psf.shape[0] // 2
    measured = forced_flux(difference, sky["x"], sky["y"], exclude=UNUSABLE)
    assert (np.abs(measured.flux) <= np.sqrt(1.5 * 1000)).all()


def test_they_do_not_overlap(found):
    sky = SkySources(n=40, radius=5.0).place(found[0])
    assert len(sky) > 10
    assert pdist(np.column_stack([sky["x"], sky["y"]])).min() >= 10


def test_they_keep_off_masked_pixels_and_borders(found):
    mask = np.zeros(SHAPE, np.int32)
    mask[:, 40:216] = MaskPlane.SAT
    sky = SkySources(n=50, radius=6.0).place(replace(found[0], mask=mask))
    assert ((sky["x"] <= 40 - 6 + 1) | (sky["x"] >= 215 + 6 - 1)).all()
    for name in ("x", "y"):
        assert (sky[name] >= 6).all()
        assert (sky[name] <= 255 - 6).all()


def test_a_visit_has_the_same_ones_every_time(found):
    first, again = (SkySources(n=5).place(found[0]) for _ in range(2))
    assert first["x"].tolist() == again["x"].tolist()
    other = replace(found[0], id=replace(found[0].id, visit=8))
    assert SkySources(n=5).place(other)["x"].tolist() != first["x"].tolist()


@pytest.mark.parametrize(("n", "radius"), [(0, 8.0), (5, 200.0)])
def test_there_may_be_none(found, n, radius):
    assert len(SkySources(n=n, radius=radius).place(found[0])) == 0


def test_an_image_full_of_sources_has_none():
    x, y = empty_places(np.ones((50, 60), bool), 5, radius=3.0, seed=(1,))
    assert x.size == y.size == 0


def test_pulls_tell_whether_errors_are_right(found):
    difference = found[0]
    sky = SkySources(n=100, radius=3.0).place(difference)
    measured = forced_flux(difference, sky["x"], sky["y"], exclude=UNUSABLE)
    names = ("psfFlux", "psfFluxErr")
    columns = [Column(name, "f8", "", "") for name in names]
    fluxes = dict(zip(names, (measured.flux, measured.flux_error), strict=True))
    metrics = sky_metrics(sky.with_columns(columns, fluxes))
    n = metrics["n_sky_sources"]
    assert n > 30
    # A robust standard deviation is known to 1.17 / sqrt(2 n) x sqrt(2).
    assert metrics["sky_pull_std"] == pytest.approx(1, abs=4 * 1.17 / np.sqrt(n))
    assert metrics["sky_pull_median"] == pytest.approx(0, abs=4 * 1.25 / np.sqrt(n))


def test_a_few_tell_nothing(found):
    assert sky_metrics(SkySources(n=5).place(found[0])) == {"n_sky_sources": 5}
