import numpy as np
import pytest

from streamdiff.model.psf import noise_equivalent_area
from streamdiff.testing import GaussianProfile, ideal_flux_error

SHARP = GaussianProfile(fwhm=3.0).stamp()
WIDE = GaussianProfile(fwhm=4.0).stamp()


def test_with_a_noiseless_template_only_the_science_image_counts():
    error = ideal_flux_error(WIDE, SHARP, 100.0, 0.0)
    assert error == pytest.approx(10 * np.sqrt(noise_equivalent_area(WIDE)), rel=1e-4)


def test_with_equal_psfs_the_variances_add_up():
    error = ideal_flux_error(SHARP, SHARP, 60.0, 40.0)
    assert error == pytest.approx(10 * np.sqrt(noise_equivalent_area(SHARP)), rel=1e-4)


def test_the_two_images_can_be_exchanged():
    assert ideal_flux_error(SHARP, WIDE, 60.0, 40.0) == pytest.approx(
        ideal_flux_error(WIDE, SHARP, 40.0, 60.0)
    )


def test_the_wider_psf_costs_depth():
    sharp = ideal_flux_error(SHARP, SHARP, 50.0, 50.0)
    assert sharp < ideal_flux_error(SHARP, WIDE, 50.0, 50.0)
    assert sharp < ideal_flux_error(WIDE, SHARP, 50.0, 50.0)


def error_with_an_unknown_sky(science_psf, template_psf, s_n, s_r):
    """Return the error of the flux of a change, from all unknowns at once.

    The science image is P_n * sky + flux P_n, the template P_r * sky, on a periodic
    grid; every pixel of the sky is unknown.
    """
    side = len(science_psf)
    of_science, of_template = (
        np.array(
            [
                np.roll(psf, (j - side // 2, i - side // 2), (0, 1)).ravel()
                for j in range(side)
                for i in range(side)
            ]
        ).T
        for psf in (science_psf, template_psf)
    )
    design = np.block(
        [
            [of_science / np.sqrt(s_n), science_psf.reshape(-1, 1) / np.sqrt(s_n)],
            [of_template / np.sqrt(s_r), np.zeros((side**2, 1))],
        ]
    )
    # A little is known of the sky: what no PSF passes could be anything else.
    normal = design.T @ design + 1e-12 * np.eye(side**2 + 1)
    return np.sqrt(np.linalg.inv(normal)[-1, -1])


@pytest.mark.parametrize("angle", [0.0, 60.0])
def test_least_squares_with_an_unknown_sky_have_the_same_error(angle):
    science = GaussianProfile(fwhm=2.6, ellipticity=0.25, angle=angle).stamp(size=21)
    template = GaussianProfile(fwhm=2.2, ellipticity=0.2, angle=90).stamp(size=21)
    ideal = ideal_flux_error(science, template, 100.0, 25.0)
    true = error_with_an_unknown_sky(science, template, 100.0, 25.0)
    assert ideal == pytest.approx(true, rel=1e-3)
