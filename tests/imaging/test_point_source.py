import numpy as np
import pytest

from streamdiff.imaging.point_source import fit_positions, forced_flux
from streamdiff.model import NO_PLANES, UNUSABLE
from streamdiff.testing import GaussianProfile, MoffatProfile, PointSource, Scene

PROFILES = {
    "narrow": GaussianProfile(fwhm=2.5),
    "round": GaussianProfile(fwhm=4.0),
    "elongated": GaussianProfile(fwhm=5.0, ellipticity=0.4, angle=30),
    "winged": MoffatProfile(fwhm=3.5),
}
every_profile = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
X, Y = np.array([40.3, 90.0, 140.5]), np.array([60.8, 60.0, 60.25])


def observe(profile, *, noise=1e-3, flux=(1e5, -3e4, 2e5)):
    sources = tuple(PointSource(*s) for s in zip(X, Y, flux, strict=True))
    return Scene(sources=sources, shape=(120, 180)).observe(
        profile=profile, noise=noise, seed=1
    )


@every_profile
def test_flux_without_noise_is_exact(profile):
    found = forced_flux(observe(profile), X, Y, exclude=UNUSABLE)
    assert found.flux == pytest.approx([1e5, -3e4, 2e5], rel=0.002)


@every_profile
def test_position_without_noise_is_exact(profile):
    start = np.array([0.4, -0.3, 0.45])
    found = fit_positions(observe(profile), X + start, Y - start, exclude=UNUSABLE)
    assert found.x == pytest.approx(X, abs=0.005)
    assert found.y == pytest.approx(Y, abs=0.005)
    assert np.isfinite(found.x_error).all()


def test_flux_error_is_that_of_the_noise_equivalent_area():
    exposure = observe(PROFILES["round"], noise=10.0)
    found = forced_flux(exposure, X[1:2], Y[1:2], exclude=UNUSABLE)
    area = 1 / np.sum(exposure.psf.stamp**2)
    assert found.flux_error == pytest.approx(10 * np.sqrt(area))


def test_position_error_follows_the_axes_of_the_psf():
    profile = GaussianProfile(fwhm=5.0, ellipticity=0.4, angle=45)
    found = fit_positions(observe(profile, noise=10.0), X, Y, exclude=UNUSABLE)
    assert found.x_error == pytest.approx(found.y_error, rel=0.01)
    # Along the major axis, between +x and +y, positions are less certain.
    assert (found.covariance > 0.2 * found.x_error * found.y_error).all()


def test_position_where_nothing_is_fails_or_is_uncertain():
    exposure = Scene(shape=(120, 180)).observe(noise=1.0, fwhm=4.0, seed=2)
    x = np.linspace(20, 160, 50)
    found = fit_positions(exposure, x, np.full(50, 60.0), exclude=NO_PLANES)
    certain = found.x_error < 0.1
    assert not certain.any()
    assert (np.hypot(found.x - x, found.y - 60) <= 1.5).all()


def test_positions_off_the_image_have_no_flux():
    exposure = observe(PROFILES["round"])
    found = forced_flux(exposure, [-50, 500], [60, 60], exclude=UNUSABLE)
    assert np.isnan(found.flux).all()
    assert found.n_pixels.tolist() == [0, 0]
    assert found.truncated.all()
    fitted = fit_positions(exposure, [-50, 500], [60, 60], exclude=UNUSABLE)
    assert fitted.x.tolist() == [-50, 500]
    assert np.isnan(fitted.x_error).all()
