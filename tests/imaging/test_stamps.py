import numpy as np
import pytest

from streamdiff.imaging.stamps import batches, cut_stamps, nearest_pixels, psf_stamps
from streamdiff.model import MaskPlane, PolynomialPsf
from streamdiff.testing import GaussianProfile, Scene, VaryingProfile

SHAPE = (60, 80)
X, Y = np.array([10.2, 40.5, 70.0, 5.7]), np.array([12.9, 30.5, 3.4, 55.0])


def polynomial_psf():
    stamps = [GaussianProfile(fwhm=w).stamp(size=21) for w in (4, 4.4, 3.7)]
    stamps[1:] = [s - stamps[0] for s in stamps[1:]]
    return PolynomialPsf(coefficients=np.array(stamps), image_shape=SHAPE)


PSFS = {
    "constant": GaussianProfile(fwhm=4).psf(SHAPE),
    "grid": VaryingProfile(middle=GaussianProfile(fwhm=4)).psf(SHAPE),
    "polynomial": polynomial_psf(),
}


@pytest.mark.parametrize("psf", PSFS.values(), ids=PSFS)
def test_psf_stamps_are_those_of_the_psf(psf):
    expected = [psf.at(x, y) for x, y in zip(X, Y, strict=True)]
    assert psf_stamps(psf, X, Y) == pytest.approx(np.array(expected), abs=1e-12)


@pytest.mark.parametrize("psf", PSFS.values(), ids=PSFS)
def test_no_position_has_no_stamp(psf):
    assert psf_stamps(psf, [], []).shape == (0, *psf.shape)


def test_middle_of_a_stamp_is_the_nearest_pixel():
    exposure = Scene(shape=SHAPE).observe()
    stamps = cut_stamps(exposure, X, Y, (5, 7), exclude=MaskPlane.BAD)
    column, row = nearest_pixels(X, Y)
    assert stamps.image.shape == (4, 5, 7)
    assert np.array_equal(stamps.image[:, 2, 3], exposure.image[row, column])
    assert np.array_equal(
        stamps.variance[0], exposure.variance[11:16, 7:14].astype(float)
    )


def test_pixels_off_the_image_are_not_usable():
    exposure = Scene(shape=SHAPE).observe()
    stamps = cut_stamps(
        exposure, [0, 40, 200], [59, 30, 9], (3, 3), exclude=MaskPlane(0)
    )
    assert stamps.usable.sum(axis=(1, 2)).tolist() == [4, 9, 0]
    assert stamps.truncated.tolist() == [True, False, True]
    assert (stamps.image[~stamps.usable] == 0).all()


def test_batches_cover_every_source_once():
    numbers = np.concatenate([np.arange(1300)[part] for part in batches(1300)])
    assert np.array_equal(numbers, np.arange(1300))
    assert list(batches(0)) == [slice(0, 0)]
