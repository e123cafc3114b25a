"""Cosmic rays are known before a convolution makes stars of them."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.model import MaskPlane
from streamdiff.pipeline.cosmic_rays import CosmicRayMasking
from streamdiff.testing import CosmicRays, MoffatProfile, PointSource, Scene

rng = np.random.default_rng(5)
SIDE, N_STARS, N_RAYS = 400, 200, 30
FLUX = np.minimum(3000 * (1 + rng.pareto(1.2, N_STARS)), 1e6)
STARS = tuple(
    PointSource(x, y, flux)
    for (x, y), flux in zip(rng.uniform(10, SIDE - 10, (N_STARS, 2)), FLUX, strict=True)
)
NEW = PointSource(200.4, 150.7, 2e4)
# The science image is by far the sharper one: it is what is convolved.
SHARP, WIDE = MoffatProfile(fwhm=2.2), MoffatProfile(fwhm=3.5)


def science(*sources, rays=0):
    scene = Scene(sources=(*STARS, *sources), shape=(SIDE, SIDE))
    return scene.observe(
        profile=SHARP, noise=20, seed=2, artifacts=[CosmicRays(n=rays)]
    )


@pytest.fixture(scope="module")
def template():
    scene = Scene(sources=STARS, shape=(SIDE, SIDE))
    return scene.observe(profile=WIDE, noise=10, seed=1)


@pytest.mark.parametrize("subtract", ["al", "zogy"])
def test_cosmic_rays_on_a_convolved_image_are_no_alerts(compare, template, subtract):
    hit = science(NEW, rays=N_RAYS)
    found = {
        masked: compare(hit, template, subtract=subtract, mask_cosmic_rays=masked)
        for masked in (True, False)
    }
    assert found[False].products.images.difference.convolved in {"science", "both"}
    # Each of them is one or more, without.
    assert len(found[False].alerts) > N_RAYS
    # One in thirty may be as faint as what is asked of a ray.
    assert len(found[True].alerts) <= 2
    sources = found[True].products.sources
    distance = np.hypot(sources["x"] - NEW.x, sources["y"] - NEW.y)
    assert distance.min() < 0.5
    assert found[True].metrics["n_science_cosmic_rays"] >= N_RAYS - 3
    assert "n_science_cosmic_rays" not in found[False].metrics


def test_stars_however_sharp_and_bright_are_no_cosmic_rays():
    clean = science(NEW)
    masked, metrics = CosmicRayMasking()(clean)
    assert metrics == {"n_science_cosmic_rays": 0.0}
    np.testing.assert_array_equal(masked.mask, clean.mask)


def test_where_all_is_sharp_the_psf_is_wrong_and_nothing_is_masked():
    image = np.zeros((64, 64), np.float32)
    image[::4, ::4] = 1e4
    exposure = replace(
        Scene(shape=(64, 64)).observe(profile=WIDE, noise=10, seed=1), image=image
    )
    masked, metrics = CosmicRayMasking()(exposure)
    assert not MaskPlane.CR.in_mask(masked.mask).any()
    assert metrics["n_science_cosmic_rays"] == 0
