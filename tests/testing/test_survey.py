from dataclasses import replace

import numpy as np
import pytest

from streamdiff.model import MaskPlane
from streamdiff.model.psf import fwhm, nearest_pixel, noise_equivalent_area
from streamdiff.testing import Camera, Population, Survey

TINY = Survey(
    shape=(256, 240),
    n_epochs=3,
    n_visits=2,
    galaxies=20,
    population=Population(transients=6, hosted=3, vanished=1, variables=5),
    camera=Camera(),
    flux_scale_error=0.0,
)
NOTHING = Population(transients=0, hosted=0, vanished=0, variables=0, movers=0)
STATIC = replace(TINY, population=NOTHING)
FIRST, LAST = TINY.visit_numbers
TRUTH = TINY.truth(LAST)


@pytest.fixture(scope="module")
def change():
    """What a visit has above the static sky, on the same noise."""
    return np.subtract(TINY.visit(LAST).image, STATIC.visit(LAST).image, dtype=float)


def test_the_truth_is_all_that_differs_from_the_static_sky(change):
    psf = TINY.visit(LAST).psf
    half = psf.shape[0] // 2
    left = np.pad(change, 2 * half)
    for true in TRUTH:
        column, row = nearest_pixel(true.x, true.y)
        left[
            row + half : row + 3 * half + 1, column + half : column + 3 * half + 1
        ] -= true.flux * psf.at(true.x, true.y)
    # The shifted PSF of a Moffat profile is exact to 1e-4 of the flux.
    brightest = max(abs(true.flux) for true in TRUTH)
    assert np.abs(change).max() > 0.01 * brightest
    assert np.abs(left).max() < 2e-4 * brightest


def test_there_is_every_kind_of_change():
    everything = [*TINY.truth(FIRST), *TRUTH]
    assert {true.kind for true in everything} == {"transient", "variable", "mover"}
    assert len(TINY.changes) == 6 + 3 + 1 + 5 + 1


def test_sky_positions_agree_with_pixels_to_the_registration_error():
    wcs = TINY.visit(LAST).wcs
    x, y = wcs.all_world2pix([t.ra for t in TRUTH], [t.dec for t in TRUTH], 0)
    offset = np.hypot(x - [t.x for t in TRUTH], y - [t.y for t in TRUTH])
    # 0.2 px along each axis; a sum of six waves stays below three times its rms.
    assert 0 < offset.max() < 3 * 0.2 * np.sqrt(2)


def test_without_registration_error_the_wcs_is_exact():
    exact = replace(TINY, registration_rms=0.0)
    truth, wcs = exact.truth(FIRST), exact.visit(FIRST).wcs
    x, y = wcs.all_world2pix([t.ra for t in truth], [t.dec for t in truth], 0)
    assert x == pytest.approx([t.x for t in truth], abs=1e-6)
    assert y == pytest.approx([t.y for t in truth], abs=1e-6)


def test_epochs_show_the_static_sky():
    pairs = zip(TINY.template_exposures(), STATIC.template_exposures(), strict=True)
    for epoch, static in pairs:
        np.testing.assert_array_equal(epoch.image, static.image)


@pytest.mark.parametrize(
    ("rotation_deg", "dither"), [(2.0, 12.0), (0.0, 30.0), (25.0, 5.0)]
)
def test_epochs_cover_every_visit(rotation_deg, dither):
    survey = replace(
        STATIC,
        density_per_mpx=0.0,
        galaxies=0,
        n_epochs=5,
        n_visits=5,
        rotation_deg=rotation_deg,
        dither=dither,
    )
    epochs = list(survey.template_exposures())
    ny, nx = survey.shape
    corners = np.array([(0, 0), (0, ny - 1), (nx - 1, 0), (nx - 1, ny - 1)])
    for visit in survey.visits():
        sky = visit.wcs.all_pix2world(corners, 0)
        for epoch in epochs:
            x, y = epoch.wcs.all_world2pix(sky, 0).T
            assert min(x.min(), y.min()) >= 0
            assert x.max() <= epoch.shape[1] - 1
            assert y.max() <= epoch.shape[0] - 1


def test_exposures_differ_in_pointing_and_come_in_order_of_time():
    exposures = [*TINY.template_exposures(), *TINY.visits()]
    centres = {tuple(np.ravel(e.wcs.wcs.crpix)) for e in exposures}
    assert len(centres) == len(exposures)
    times = [e.midpoint_mjd_tai for e in exposures]
    assert times == sorted(times)
    assert [e.id.visit for e in exposures] == [1, 2, 3, FIRST, LAST]


def test_visits_are_sharper_and_wider_than_the_template():
    seeing = [fwhm(visit.psf.centred_at(120, 128)) for visit in TINY.visits()]
    epochs = [fwhm(e.psf.centred_at(140, 148)) for e in TINY.template_exposures()]
    assert min(seeing) < min(epochs)
    assert max(seeing) > max(epochs)


def test_a_survey_is_made_the_same_again():
    np.testing.assert_array_equal(
        TINY.visit(FIRST).image, replace(TINY).visit(FIRST).image
    )
    assert replace(TINY).truth(LAST) == TRUTH
    assert (replace(TINY, seed=1).visit(FIRST).image != TINY.visit(FIRST).image).any()


def test_a_transient_on_blank_sky_is_as_significant_as_the_sky_noise_allows():
    visit = TINY.visit(LAST)
    area = noise_equivalent_area(visit.psf.centred_at(120, 128))
    # Equal PSFs would add a third of the noise of a visit, others a little more.
    bound = TINY.noise * np.sqrt(area)
    for true in TRUTH:
        error = true.flux / true.ideal_snr
        assert bound * 0.95 < error < 1.4 * bound


def test_photon_noise_lowers_the_ideal_snr():
    photons = replace(TINY, camera=Camera(gain=1.5))
    for true, noisier in zip(TRUTH, photons.truth(LAST), strict=True):
        assert abs(noisier.ideal_snr) < abs(true.ideal_snr)


def test_transients_have_the_ideal_snr_asked_for():
    bright = Population(transients=40, transient_snr=(10, 20))
    survey = replace(TINY, shape=(512, 512), population=bright)
    peaks = [c.peak for c in survey.changes if c.kind == "transient" and c.peak > 0]
    true = survey.truth(FIRST)
    snr = [t.ideal_snr for t in true if t.kind == "transient" and t.flux > 0]
    assert max(peaks) <= 2 * min(peaks)
    # Visits have other seeing than the mean, and the template its own noise.
    assert 10 / 1.5 < min(snr) <= max(snr) < 20 * 1.5


def test_a_mover_moves_several_pixels_a_visit():
    here, there = (
        next(t for t in TINY.truth(v) if t.kind == "mover") for v in (FIRST, LAST)
    )
    step = 3600 * np.hypot(there.dec - here.dec, there.ra - here.ra)
    assert 0.2 * 3 < step < 0.2 * 9


def test_fluxes_of_visits_are_off_by_the_scale_error():
    off = replace(STATIC, flux_scale_error=0.1).visit(LAST).image
    right = STATIC.visit(LAST).image
    brightest = right > 300
    assert brightest.any()
    # The noise is the same, within 5 sigma at most 50 of 300: it takes a sixth of
    # the difference from 1, to either side.
    ratios = off[brightest] / right[brightest]
    assert np.ptp(ratios) < abs(ratios.mean() - 1) / 3
    assert 0.001 < abs(ratios.mean() - 1) < 0.5


def test_cosmic_rays_hit_epochs_and_on_request_visits():
    clean = replace(TINY, epoch_cosmic_rays=0)
    hit, spared = (next(s.template_exposures()).image for s in (TINY, clean))
    assert (hit - spared).max() > 100
    rays = replace(TINY, visit_cosmic_rays=20).visit(FIRST).image
    assert (rays - TINY.visit(FIRST).image).max() > 100


def test_the_brightest_stars_saturate():
    # 1,200 stars: one in 200 is above a twentieth of the largest flux.
    survey = replace(STATIC, density_per_mpx=20_000.0, camera=Camera(saturation=3e3))
    assert MaskPlane.SAT.in_mask(survey.visit(FIRST).mask).any()


@pytest.mark.parametrize("number", [0, 1, 1000, 1003])
def test_unknown_visits_are_refused(number):
    with pytest.raises(ValueError, match="visits are range"):
        TINY.visit(number)


def test_a_field_that_its_dithers_leave_is_refused():
    with pytest.raises(ValueError, match="turned and shifted by up to"):
        Survey(shape=(256, 64))
