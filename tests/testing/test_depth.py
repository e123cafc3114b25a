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
