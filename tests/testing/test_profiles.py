import numpy as np
import pytest

from streamdiff.model import ConstantPsf, GridPsf
from streamdiff.model.psf import fwhm, noise_equivalent_area
from streamdiff.testing import (
    GaussianProfile,
    MoffatProfile,
    PointSource,
    Scene,
    VaryingProfile,
)

SHAPE = (120, 140)
VARYING = VaryingProfile(
    middle=MoffatProfile(fwhm=4.0, ellipticity=0.1, angle=20),
    fwhm_slope=(0.1, -0.05),
    fwhm_curvature=0.1,
    corner_ellipticity=0.2,
)
PROFILES = [
    GaussianProfile(fwhm=3.5),
    GaussianProfile(fwhm=4.0, ellipticity=0.3, angle=30),
    MoffatProfile(fwhm=4.0),
    MoffatProfile(fwhm=4.5, beta=2.5, ellipticity=0.2, angle=-60),
    VARYING,
]


def second_moments(stamp):
    steps = np.arange(stamp.shape[0]) - stamp.shape[0] // 2
    x, y = steps, steps[:, np.newaxis]
    return (
        (stamp * x**2).sum(),
        (stamp * x * y).sum(),
        (stamp * y**2).sum(),
    )


@pytest.mark.parametrize("profile", PROFILES[:4])
@pytest.mark.parametrize("offset", [(0, 0), (0.5, -0.5), (-0.3, 0.2)])
def test_a_stamp_holds_all_the_flux_wherever_the_star_is_in_its_pixel(profile, offset):
    assert profile.stamp(*offset).sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("x", "y"), [(70, 60), (40.3, 80.6), (99.7, 30.2)])
def test_a_rendered_star_is_the_psf(profile, x, y):
    star = Scene(sources=(PointSource(x, y, 1.0),), shape=SHAPE).render(profile)
    psf = profile.psf(SHAPE)
    half = psf.shape[0] // 2
    row, column = round(y), round(x)
    cut = star[row - half : row + half + 1, column - half : column + half + 1]
    assert cut == pytest.approx(psf.at(x, y), abs=1e-4)
    assert star.sum() == pytest.approx(cut.sum(), abs=1e-12)


def test_a_psf_of_a_varying_profile_is_exact_between_its_nodes():
    psf = VARYING.psf(SHAPE)
    side = VARYING.side
    for x, y in [(10.0, 10.0), (64.0, 31.0), (133.0, 117.0)]:
        truth = VARYING.at(x, y, SHAPE).stamp(size=side)
        assert psf.centred_at(x, y) == pytest.approx(truth, abs=1e-5)


def test_profiles_become_constant_and_grid_psfs():
    assert isinstance(PROFILES[0].psf(SHAPE), ConstantPsf)
    assert isinstance(VARYING.psf(SHAPE), GridPsf)


def test_a_gaussian_has_the_width_asked_for():
    # The samples of a Gaussian have its own noise-equivalent area, 4 pi sigma^2,
    # because it is band-limited: FWHM 3.5 px has power 1e-9 at twice Nyquist.
    assert fwhm(GaussianProfile(fwhm=3.5).stamp()) == pytest.approx(3.5, rel=1e-6)


def test_a_moffat_halves_at_half_its_fwhm():
    stamp = MoffatProfile(fwhm=6.0).stamp()
    middle = stamp.shape[0] // 2
    # The fading wings leave (1 - (0.5 / 4)^4)^2 of the half maximum, 5e-4 less.
    assert stamp[middle, middle + 3] / stamp[middle, middle] == pytest.approx(
        0.5, rel=1e-3
    )


def test_a_moffat_fades_without_a_step_at_the_border_of_its_stamp():
    stamp = MoffatProfile(fwhm=3.5, beta=2.5).stamp()
    assert stamp[0].max() < 1e-6 * stamp.max()


def test_an_elongated_profile_points_along_its_angle():
    xx, xy, yy = second_moments(
        GaussianProfile(fwhm=5.0, ellipticity=0.4, angle=30).stamp()
    )
    assert np.degrees(np.arctan2(2 * xy, xx - yy)) / 2 == pytest.approx(30, abs=0.01)


def test_elongation_keeps_the_area():
    round_area = noise_equivalent_area(GaussianProfile(fwhm=4.5).stamp())
    stretched = GaussianProfile(fwhm=4.5, ellipticity=0.3, angle=75).stamp()
    assert noise_equivalent_area(stretched) == pytest.approx(round_area, rel=1e-4)


def test_a_varying_profile_is_its_middle_in_the_middle():
    ny, nx = SHAPE
    middle = VARYING.at((nx - 1) / 2, (ny - 1) / 2, SHAPE)
    assert middle.fwhm == pytest.approx(4.0)
    assert middle.ellipticity == pytest.approx(0.1)
    assert middle.angle == pytest.approx(20)


def test_a_varying_profile_widens_towards_the_slope():
    widths = [VARYING.at(x, 60, SHAPE).fwhm for x in (0, 70, 139)]
    assert widths == sorted(widths)
    assert VARYING.at(-50, 60, SHAPE) == VARYING.at(0, 60, SHAPE)


@pytest.mark.parametrize("wrong", [{"fwhm": 0.0}, {"fwhm": 3.0, "ellipticity": 1.0}])
def test_a_shape_without_area_is_refused(wrong):
    with pytest.raises(ValueError, match="fwhm > 0 and ellipticity"):
        GaussianProfile(**wrong)
