"""Stars put the template where the science image is."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.wcs import DistortionLookupTable, Sip

from streamdiff.errors import InvalidExposureError
from streamdiff.imaging.pixel_map import transform
from streamdiff.model import MaskPlane, UnknownPsf
from streamdiff.testing import (
    CosmicRays,
    Displacement,
    GaussianProfile,
    MoffatProfile,
    PointSource,
    Scene,
    VaryingProfile,
)
from streamdiff_registration import StarRegistrar
from streamdiff_warp import LanczosWarper

SHAPE = (384, 448)
# Of 340 stars per 0.17 Mpx some 90 are bright and alone; their positions are good
# to 0.03 px in the median. 15 terms of order 4 leave 0.03 sqrt(15 / 90) = 0.012 px
# of noise; what order 4 misses of waves as long as the image is as much again.
FIELD_ERROR = 0.03
SKY = Scene.star_field(shape=SHAPE, seed=3, flux_range=(1000, 2e5))
# Where fields are compared [pixel].
Y, X = (v.astype(float) for v in np.mgrid[8 : SHAPE[0] : 24, 8 : SHAPE[1] : 24])
# Stars of S/N 700: each position is good to 0.003 px.
BRIGHT = ((60, 70), (300, 90), (130, 310), (380, 330), (220, 200), (330, 210))


def science_of(sky, **options):
    return sky.observe(**{"fwhm": 3.8, "noise": 10, "seed": 2} | options)


def template_of(sky, **options):
    return sky.observe(**{"fwhm": 3.2, "noise": 5, "seed": 1} | options)


def displaced(field):
    """Return an observation whose stars are moved by ``field`` [pixel]."""
    moved = [
        replace(s, x=s.x + dx, y=s.y + dy)
        for s in SKY.sources
        for dx, dy in [field(s.x, s.y)]
    ]
    return science_of(replace(SKY, sources=tuple(moved)))


def bright_stars(n, shift=(0, 0)):
    dx, dy = shift
    stars = (PointSource(x + dx, y + dy, 5e4) for x, y in BRIGHT[:n])
    return Scene(sources=tuple(stars), shape=SHAPE)


def correction(science, registration):
    """Return by how much pixels of the science image move, along x and y."""
    x, y = transform(science.wcs, registration.wcs, X, Y)
    return np.array([x - X, y - Y])


def true_correction(displacement):
    """Return where stars come from that the displacement brings to X, Y."""
    origin = np.array([X, Y])
    for _ in range(8):
        origin = np.array([X, Y]) - displacement.smooth(*origin, SHAPE)
    return origin - [X, Y]


def rms(values):
    return np.sqrt(np.mean(np.square(values)))


@pytest.mark.parametrize("seed", [1, 2])
def test_smooth_displacement_is_recovered(seed):
    displacement = Displacement(rms=0.2, seed=seed)
    science = science_of(SKY, displacement=displacement)
    found = StarRegistrar().register(science, template_of(SKY))
    assert rms(correction(science, found) - true_correction(displacement)) < FIELD_ERROR
    # The rms length over both axes; the stars sample the field unevenly.
    before = found.metrics["registration_rms_before_pixel"]
    assert before == pytest.approx(0.2 * np.sqrt(2), rel=0.2)


def test_template_warped_onto_the_corrected_wcs_is_in_place():
    displacement = Displacement(rms=0.2, seed=1)
    science = science_of(SKY, displacement=displacement)
    sky_wcs = SKY.dithered_wcs(rotation_deg=0.5, dx=4.3, dy=-2.6)
    coadd = template_of(SKY, wcs=sky_wcs, shape=(400, 464))
    nominal = LanczosWarper().warp(coadd, science.wcs, SHAPE)
    found = StarRegistrar().register(science, nominal)
    moved = LanczosWarper().warp(coadd, found.wcs, SHAPE)
    again = StarRegistrar().register(science, replace(moved, wcs=science.wcs))
    assert rms(correction(science, again)) < FIELD_ERROR


@pytest.mark.parametrize("shift", [(3.0, 0.0), (-2.1, 3.4)])
def test_shift_of_several_pixels_is_recovered(shift):
    science = displaced(lambda x, y: shift)
    found = StarRegistrar().register(science, template_of(SKY))
    assert found.metrics["registration_order"] == 0
    for axis, name in enumerate(("offset_x_pixel", "offset_y_pixel")):
        assert found.metrics[name] == pytest.approx(-shift[axis], abs=0.03)
        assert np.abs(correction(science, found)[axis] + shift[axis]).max() < 0.01


def test_displacement_along_x_that_depends_on_y_stays_along_x():
    science = displaced(lambda x, y: (0.8 * (y / SHAPE[0] - 0.5), 0.0))
    found = StarRegistrar().register(science, template_of(SKY))
    along_x, along_y = correction(science, found)
    assert rms(along_x + 0.8 * (Y / SHAPE[0] - 0.5)) < FIELD_ERROR
    assert rms(along_y) < FIELD_ERROR


def test_images_in_place_stay_in_place():
    science = science_of(SKY)
    found = StarRegistrar().register(science, template_of(SKY))
    assert np.abs(correction(science, found)).max() < 0.01
    assert found.metrics["registration_order"] == 0


def test_seeing_and_elongation_do_not_displace():
    long = MoffatProfile(fwhm=4.5, ellipticity=0.25, angle=40)
    science = science_of(
        SKY, profile=VaryingProfile(middle=long, corner_ellipticity=0.1)
    )
    template = template_of(SKY, profile=GaussianProfile(fwhm=2.8))
    found = StarRegistrar().register(science, template)
    assert rms(correction(science, found)) < 0.01


def test_changes_and_cosmic_rays_do_not_displace():
    rng = np.random.default_rng(5)
    # Every fifth star has another one appear beside it, 1 px away.
    companions = [PointSource(s.x + 0.7, s.y + 0.7, s.flux) for s in SKY.sources[::5]]
    spots = rng.uniform(0, SHAPE[1], (20, 2))
    transients = [PointSource(x, y, 3e4) for x, y in spots]
    science = science_of(
        SKY.add(*companions, *transients), artifacts=[CosmicRays(n=40)]
    )
    found = StarRegistrar().register(science, template_of(SKY))
    assert rms(correction(science, found)) < 0.02


def test_scatter_is_that_of_the_stars_beyond_their_errors():
    jitter = Displacement(jitter=0.15, seed=4)
    found = StarRegistrar().register(
        science_of(SKY, displacement=jitter), template_of(SKY)
    )
    # The median of some 90 squares knows the scatter to 1.17 / sqrt(90) of it.
    for name in ("scatter_x_pixel", "scatter_y_pixel"):
        assert found.metrics[name] == pytest.approx(0.15, rel=0.4)


def test_scatter_of_stars_in_place_is_nothing():
    found = StarRegistrar().register(science_of(SKY), template_of(SKY))
    assert found.metrics["scatter_x_pixel"] < 0.02
    assert found.metrics["scatter_y_pixel"] < 0.02


def test_few_stars_give_a_shift():
    science = science_of(bright_stars(6, shift=(0.4, -0.3)))
    found = StarRegistrar().register(science, template_of(bright_stars(6)))
    assert found.metrics["n_registration_stars"] == 6
    # 0.003 px of error, 0.01 px of either image at most.
    assert np.abs(correction(science, found)[0] + 0.4).max() < 0.01
    assert np.abs(correction(science, found)[1] - 0.3).max() < 0.01


@pytest.mark.parametrize("n", [0, 1, 3])
def test_too_few_stars_leave_the_wcs_as_it_is(n):
    science = science_of(bright_stars(n, shift=(0.5, 0)))
    found = StarRegistrar().register(science, template_of(bright_stars(n)))
    assert found.wcs is science.wcs
    assert found.metrics == {"n_registration_stars": 0}


def test_another_sky_leaves_the_wcs_as_it_is():
    other = Scene.star_field(shape=SHAPE, seed=77, flux_range=(1000, 2e5))
    science = science_of(other)
    found = StarRegistrar().register(science, template_of(SKY))
    assert found.wcs is science.wcs


@pytest.mark.parametrize("shape", [(1, 1), (7, 32), (31, 30)])
def test_tiny_images_leave_the_wcs_as_it_is(shape):
    sky = Scene(shape=shape)
    science = science_of(sky)
    assert StarRegistrar().register(science, template_of(sky)).wcs is science.wcs


@pytest.mark.parametrize("value", [np.nan, np.inf, 0])
def test_images_without_data_leave_the_wcs_as_it_is(value):
    science = science_of(SKY)
    empty = replace(
        science,
        image=np.full(SHAPE, value, np.float32),
        mask=np.full(SHAPE, MaskPlane.NO_DATA, np.int32),
    )
    assert StarRegistrar().register(empty, template_of(SKY)).wcs is science.wcs
    assert StarRegistrar().register(science, empty).wcs is science.wcs


def test_field_is_bounded_where_there_are_no_stars():
    displacement = Displacement(rms=0.2, seed=1)
    science = science_of(SKY, displacement=displacement)
    mask = science.mask.copy()
    mask[:, 150:] |= MaskPlane.NO_DATA
    found = StarRegistrar().register(replace(science, mask=mask), template_of(SKY))
    assert np.abs(correction(science, found)).max() < 1


def test_unknown_psf_is_refused():
    science = science_of(SKY, psf="unknown")
    assert isinstance(science.psf, UnknownPsf)
    with pytest.raises(InvalidExposureError, match="no PSF"):
        StarRegistrar().register(science, template_of(SKY))


def test_inputs_are_unchanged():
    science, template = science_of(SKY), template_of(SKY)
    before = [e.image.copy() for e in (science, template)]
    StarRegistrar().register(science, template)
    assert science.wcs.det2im1 is None
    assert science.wcs.det2im2 is None
    for exposure, image in zip((science, template), before, strict=True):
        np.testing.assert_array_equal(exposure.image, image)


def test_same_images_give_the_same_correction():
    science, template = science_of(SKY), template_of(SKY)
    first, second = (StarRegistrar().register(science, template) for _ in range(2))
    assert first.metrics == second.metrics


def sip_wcs():
    wcs = SKY.wcs
    a, b = np.zeros((3, 3)), np.zeros((3, 3))
    a[2, 0], b[1, 1] = 4e-5, -3e-5
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
    return wcs


def tabulated_wcs(kind):
    wcs = SKY.wcs
    slope = np.linspace(0, 4, 6 * 5, dtype=np.float32).reshape(5, 6)
    for axis in (1, 2):
        table = DistortionLookupTable(slope / axis, (1, 1), (1, 1), (90, 96))
        setattr(wcs, f"{kind}{axis}", table)
    return wcs


@pytest.mark.parametrize(
    "wcs",
    [sip_wcs(), tabulated_wcs("cpdis"), tabulated_wcs("det2im")],
    ids=["SIP", "cpdis", "det2im"],
)
def test_distortions_of_the_wcs_are_kept(wcs):
    science = replace(displaced(lambda x, y: (2.5, -1.5)), wcs=wcs)
    found = StarRegistrar().register(science, replace(template_of(SKY), wcs=wcs))
    dx, dy = (found.metrics[f"offset_{axis}_pixel"] for axis in "xy")
    assert (dx, dy) == pytest.approx((-2.5, 1.5), abs=0.03)
    along_x, along_y = correction(science, found)
    # A second table has nodes of its own: between them it is good to 1e-3 px.
    assert np.abs(along_x + 2.5).max() < 0.01
    assert np.abs(along_y - 1.5).max() < 0.01
