import pickle

import numpy as np
import pytest

from streamdiff.errors import InvalidExposureError
from streamdiff.model import ConstantPsf, GridPsf, PolynomialPsf, Psf, UnknownPsf
from streamdiff.model.psf import (
    fwhm,
    nearest_pixel,
    noise_equivalent_area,
    shift_matrix,
    toeplitz,
)
from streamdiff.model.varying_psf import sample_on_grid

SIDE = 41


def gaussian(sigma, dx=0.0, dy=0.0, side=SIDE):
    v, u = np.mgrid[:side, :side] - side // 2
    stamp = np.exp(-((u - dx) ** 2 + (v - dy) ** 2) / (2 * sigma**2))
    return stamp / stamp.sum()


def grid_of_widths(nodes, image_side=400):
    """Return a PSF whose width grows from 2 to 3 px, as x does from 0."""
    x = np.linspace(0, image_side - 1, nodes)
    row = [gaussian(2 + u / (image_side - 1)) for u in x]
    return GridPsf(stamps=np.array([row, row]), x=x, y=[0, image_side - 1])


PSFS = (
    ConstantPsf(gaussian(2.0)),
    grid_of_widths(4),
    PolynomialPsf(
        coefficients=np.array(
            [gaussian(2.0), gaussian(2.2) - gaussian(2), gaussian(3)]
        ),
        image_shape=(300, 400),
    ),
)


@pytest.mark.parametrize("psf", PSFS)
@pytest.mark.parametrize("position", [(0, 0), (17.3, 250.8), (1e4, -1e4)])
def test_every_psf_sums_to_one_everywhere(psf, position):
    assert isinstance(psf, Psf)
    assert psf.at(*position).shape == psf.shape
    assert psf.at(*position).sum() == pytest.approx(1, abs=1e-12)
    assert psf.centred_at(*position).sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("dx", "dy"), [(0.49, 0), (-0.3, 0.2), (0.01, -0.49)])
def test_a_star_between_pixels_is_shifted_on_its_stamp(dx, dy):
    # A Gaussian of sigma 2 px has an amplitude of exp(-(pi 2)^2 / 2) = 3e-9 at the
    # Nyquist frequency: nothing is aliased.
    stamp = ConstantPsf(gaussian(2.0)).at(100 + dx, 50 + dy)
    assert stamp == pytest.approx(gaussian(2.0, dx, dy), abs=1e-8)


def test_the_pixel_of_a_position_reaches_half_a_pixel_around_its_centre():
    assert nearest_pixel(9.5, 10.49) == (10, 10)
    assert nearest_pixel(-0.5, -0.51) == (0, -1)


def test_a_grid_passes_through_its_nodes_and_is_smooth_between():
    psf = grid_of_widths(4)
    assert psf.centred_at(psf.x[1], 7) == pytest.approx(gaussian(2 + 1 / 3))
    # The peak goes as f = sigma^-2. A cubic over steps h = 1/3 of sigma errs in the
    # middle by 3/128 h^4 f'''' = 3/128 / 81 * 120 / 2.5^4 = 9e-4 of f.
    between = gaussian(2.5)
    tolerance = 1e-3 * between.max()
    assert psf.centred_at(399 / 2, 7) == pytest.approx(between, abs=tolerance)


def test_outside_its_nodes_a_grid_stays_at_the_border():
    psf = grid_of_widths(3)
    np.testing.assert_array_equal(psf.centred_at(-50, 0), psf.centred_at(0, 0))


def test_a_grid_of_one_node_is_constant():
    psf = GridPsf(stamps=gaussian(2)[np.newaxis, np.newaxis], x=[5], y=[5])
    np.testing.assert_array_equal(psf.centred_at(90, 1), psf.centred_at(0, 0))


def test_a_polynomial_follows_a_width_that_grows_linearly():
    # d/dsigma of a Gaussian: the first-order term of its change with the width
    step = (gaussian(2.51) - gaussian(2.49)) / 0.02
    coefficients = np.array([gaussian(2.5), 0.1 * step, 0 * step])
    psf = PolynomialPsf(coefficients=coefficients, image_shape=(100, 101))
    assert fwhm(psf.centred_at(100, 0)) > fwhm(psf.centred_at(0, 0))
    middle = psf.centred_at(50, 49.5)
    assert middle == pytest.approx(gaussian(2.5), abs=1e-9)


def test_any_psf_can_be_sampled_for_a_file():
    psf = PSFS[2]
    grid = sample_on_grid(psf, (300, 400))
    assert grid.centred_at(123, 45) == pytest.approx(psf.centred_at(123, 45), abs=1e-9)
    assert sample_on_grid(PSFS[0], (9, 9)) is PSFS[0]


def test_a_gaussian_has_its_own_width_and_area():
    # the noise-equivalent area of a Gaussian is 4 pi sigma^2
    assert fwhm(gaussian(2.0)) == pytest.approx(2.0 * 2.35482, rel=1e-5)
    assert noise_equivalent_area(gaussian(2.0)) == pytest.approx(16 * np.pi)


@pytest.mark.parametrize(
    "stamp",
    [np.ones((4, 5)), np.zeros((5, 5)), -np.ones((3, 3)), np.full((3, 3), np.nan)],
)
def test_a_stamp_that_is_no_psf_is_refused(stamp):
    with pytest.raises(InvalidExposureError, match="PSF stamps must"):
        ConstantPsf(stamp)


def test_grids_that_do_not_fit_are_refused():
    stamps = np.array([[gaussian(2), gaussian(2)]])
    with pytest.raises(InvalidExposureError, match="does not fit"):
        GridPsf(stamps=stamps, x=[0], y=[0])
    with pytest.raises(InvalidExposureError, match="must increase"):
        GridPsf(stamps=stamps, x=[3, 3], y=[0])
    with pytest.raises(InvalidExposureError, match="2 terms"):
        PolynomialPsf(coefficients=stamps[0], image_shape=(5, 5))


def test_an_unknown_psf_says_so_when_it_is_used():
    for use in (lambda p: p.shape, lambda p: p.at(1, 1), lambda p: p.centred_at(1, 1)):
        with pytest.raises(InvalidExposureError, match="no PSF"):
            use(UnknownPsf())


@pytest.mark.parametrize("psf", PSFS)
def test_psfs_travel_between_processes(psf):
    copy = pickle.loads(pickle.dumps(psf))  # noqa: S301 (our own bytes)
    np.testing.assert_array_equal(copy.at(3.2, 4.1), psf.at(3.2, 4.1))


def test_shift_matrices_are_of_sincs():
    shift = np.array([-1.0, 0.0, 0.3])
    distance = np.subtract.outer(np.arange(7), np.arange(7))
    expected = np.sinc(distance - shift[:, np.newaxis, np.newaxis])
    np.testing.assert_array_equal(shift_matrix(7, shift), expected)


def test_toeplitz_matrices_depend_on_row_minus_column():
    matrix = toeplitz(np.arange(-2.0, 3.0))
    np.testing.assert_array_equal(matrix, [[0, -1, -2], [1, 0, -1], [2, 1, 0]])
