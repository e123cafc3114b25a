from dataclasses import replace

import numpy as np
import pytest

from streamdiff.errors import SubtractionError
from streamdiff.imaging.cosmic_rays import CosmicRayRules, find_cosmic_rays
from streamdiff.imaging.islands import Islands
from streamdiff.imaging.places import places
from streamdiff.imaging.significance import significance
from streamdiff.model import (
    Convolved,
    Difference,
    ExposureId,
    FluxScale,
    MaskPlane,
    Noise,
)
from streamdiff.model.psf import noise_equivalent_area
from streamdiff.testing import GaussianProfile, PointSource, Scene
from streamdiff_detection import ScorePeaksFinder

SHAPE = (256, 256)
RULES = CosmicRayRules(sigma=6.0, contrast=0.35)


def observed(light, fwhm=4.0, seed=1):
    profile = GaussianProfile(fwhm=fwhm)
    return Difference(
        id=ExposureId(instrument="test", visit=1, detector=0, band="r"),
        image=light + np.random.default_rng(seed).normal(size=SHAPE),
        variance=1 + np.abs(light),
        mask=np.zeros(SHAPE),
        psf=profile.psf(SHAPE),
        wcs=Scene(shape=SHAPE).wcs,
        flux_scale=FluxScale.TEMPLATE,
        kernel_sum=1.0,
        convolved=Convolved.NONE,
        noise=Noise.WHITE,
    )


def rays(difference, rules=RULES, usable=True):
    psf = difference.psf.centred_at(0, 0)
    mask = np.where(np.broadcast_to(usable, SHAPE), 0, MaskPlane.SAT)
    difference = replace(difference, mask=mask)
    found = np.zeros(SHAPE, bool)
    found[find_cosmic_rays(difference, psf, MaskPlane.SAT, rules)] = True
    return found


def grid(snr, fwhm, *, offset=0.3, step=24):
    """Return the light of point sources at all sub-pixel phases."""
    profile = GaussianProfile(fwhm=fwhm)
    unit = np.sqrt(noise_equivalent_area(profile.stamp()))
    places = np.arange(20, 240, step)
    sources = [
        PointSource(x + offset * (x % 7) / 3, y - offset * (y % 5) / 2, snr * unit)
        for y in places.tolist()
        for x in places.tolist()
    ]
    return Scene(sources=tuple(sources), shape=SHAPE).render(profile)


@pytest.mark.parametrize("fwhm", [2.2, 4.0])
@pytest.mark.parametrize("snr", [8, 50, 1000, -1000])
def test_point_sources_are_no_cosmic_rays(snr, fwhm):
    assert not rays(observed(grid(snr, fwhm), fwhm)).any()


@pytest.mark.parametrize("fwhm", [2.2, 4.0])
@pytest.mark.parametrize("shift", [0.2, 1.0])
def test_dipoles_are_no_cosmic_rays(fwhm, shift):
    star = grid(3000, fwhm)
    profile = GaussianProfile(fwhm=fwhm)
    moved = Scene(
        sources=tuple(
            PointSource(60.0 * i + dx, 60.0 * j, flux)
            for i in range(1, 4)
            for j in range(1, 4)
            for dx, flux in ((0, 1e5), (shift, -1e5))
        ),
        shape=SHAPE,
    ).render(profile)
    assert star.any()
    assert not rays(observed(moved, fwhm)).any()


@pytest.mark.parametrize("sign", [1, -1])
def test_a_track_is_found_pixel_by_pixel(sign):
    light = np.zeros(SHAPE)
    along = np.arange(30)
    row, column = 100 + along // 2, 80 + along
    light[row, column] = sign * 100.0
    found = rays(observed(light))
    assert found[row, column].all()
    assert np.count_nonzero(found) == 30
    assert Islands.of(places(found)).count == 1


def test_noise_has_no_cosmic_rays():
    assert not any(rays(observed(np.zeros(SHAPE), seed=s)).any() for s in range(10))


def test_masked_pixels_tell_nothing():
    light = np.zeros(SHAPE)
    light[50, 60] = 1000.0
    usable = np.ones(SHAPE, bool)
    usable[50, 60] = False
    assert not rays(observed(light), usable=usable).any()
    blind = np.zeros(SHAPE, bool)
    blind[50, 60] = True
    # Its neighbours are unknown: it may be a star.
    assert not rays(observed(light), usable=blind).any()


def test_none_is_sought_with_an_infinite_threshold():
    light = np.zeros(SHAPE)
    light[50, 60] = 1000.0
    assert rays(observed(light)).sum() == 1
    assert not rays(observed(light), replace(RULES, sigma=np.inf)).any()


@pytest.mark.parametrize("pixel", [(0, 0), (0, 100), (255, 255), (128, 0)])
def test_borders_have_cosmic_rays_too(pixel):
    light = np.zeros(SHAPE)
    light[pixel] = 1000.0
    assert np.argwhere(rays(observed(light))).tolist() == [list(pixel)]


def test_a_source_beside_a_cosmic_ray_keeps_its_flux():
    light = grid(40, 4.0, step=60)
    clean, found = ScorePeaksFinder().find(observed(light))
    hit = observed(light)
    image = hit.image.copy()
    image[24, 20:26] += 500
    result, sources = ScorePeaksFinder().find(replace(hit, image=image))
    assert len(sources) == len(found) == 16
    # 4 px away, the pixels have little of its power.
    assert sources["snr"] == pytest.approx(found["snr"], rel=0.1)
    assert result.metrics["n_cosmic_rays"] == 1
    assert clean.metrics["n_cosmic_rays"] == 0


def test_a_score_that_came_along_is_nothing_as_far_as_they_spoil_it():
    hit = observed(np.zeros(SHAPE))
    image = hit.image.copy()
    image[100, 80:120] += 5000
    hit = replace(hit, image=image)
    # It is significant out to two widths of the PSF, of which it has no shape.
    score = significance(hit, exclude=MaskPlane.NO_DATA)
    assert (score > 5).sum() > 500
    result, sources = ScorePeaksFinder().find(replace(hit, score=score))
    assert len(sources) == 0
    assert MaskPlane.CR.in_mask(result.mask)[100, 80:120].all()
    assert (result.score == 0).mean() < 0.03


def test_a_difference_full_of_them_has_failed():
    light = np.zeros(SHAPE)
    light[::4, ::4] = 1000.0
    with pytest.raises(SubtractionError, match=r"6\.\d% of the pixels are cosmic rays"):
        ScorePeaksFinder().find(observed(light))
