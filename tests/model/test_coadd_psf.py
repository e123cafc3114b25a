import numpy as np
import pytest

from streamdiff.errors import InvalidExposureError
from streamdiff.model import Area, CoaddPsf, ConstantPsf, GridPsf, PsfComponent
from streamdiff.model.coadd_psf import coadd_psf
from streamdiff.testing import GaussianProfile

WHOLE = Area(((-0.5, -0.5), (99.5, -0.5), (99.5, 99.5), (-0.5, 99.5)))
LEFT = Area(((-0.5, -0.5), (49.5, -0.5), (49.5, 99.5), (-0.5, 99.5)))
SHARP, WIDE = (GaussianProfile(fwhm=f).psf((100, 100)) for f in (3.0, 5.0))


def component(psf=SHARP, weight=1.0, area=WHOLE):
    return PsfComponent(psf=psf, weight=weight, area=area)


BORDER = CoaddPsf((component(WIDE, 1.0), component(SHARP, 3.0, LEFT)))


def padded(psf, like):
    margin = (like.shape[0] - psf.shape[0]) // 2
    return np.pad(psf.centred_at(0, 0), margin)


def test_it_is_the_weighted_mean_where_all_inputs_are():
    found = BORDER.centred_at(48, 50)
    expected = 0.25 * padded(WIDE, found) + 0.75 * padded(SHARP, found)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_it_changes_in_a_step_where_an_input_ends():
    np.testing.assert_allclose(BORDER.centred_at(50, 50), WIDE.centred_at(0, 0))


def test_where_no_input_is_the_nearest_counts():
    psf = CoaddPsf((component(SHARP, area=LEFT), component(WIDE, area=_right())))
    np.testing.assert_allclose(
        psf.centred_at(54, 50), padded(SHARP, psf.centred_at(54, 50))
    )
    np.testing.assert_allclose(psf.centred_at(68, 50), WIDE.centred_at(0, 0))


def _right():
    return Area(((70, -0.5), (99.5, -0.5), (99.5, 99.5), (70, 99.5)))


def test_a_star_is_shifted_by_a_fraction_of_a_pixel():
    expected = WIDE.at(70.3, 20.6)
    np.testing.assert_allclose(BORDER.at(70.3, 20.6), expected, atol=1e-12)


def test_what_does_not_vary_is_constant():
    psf = coadd_psf([component(SHARP), component(WIDE)], (100, 100))
    assert isinstance(psf, ConstantPsf)


def test_an_input_that_ends_within_the_image_makes_it_vary():
    psf = coadd_psf([component(SHARP), component(WIDE, area=LEFT)], (100, 100))
    assert isinstance(psf, CoaddPsf)


def test_an_input_that_varies_makes_it_vary():
    stamps = np.array([[SHARP.stamp, SHARP.stamp]])
    grid = GridPsf(stamps=stamps, x=np.array([0.0, 99.0]), y=np.array([0.0]))
    assert isinstance(coadd_psf([component(grid)], (100, 100)), CoaddPsf)


@pytest.mark.parametrize("weight", [0.0, -1.0, np.nan, np.inf])
def test_weights_are_positive(weight):
    with pytest.raises(InvalidExposureError, match="positive weight"):
        CoaddPsf((component(weight=weight),))


def test_without_inputs_there_is_no_psf():
    with pytest.raises(InvalidExposureError, match="positive weight"):
        CoaddPsf(())


@pytest.mark.parametrize("vertices", [((0, 0), (1, 0)), ((0, 0), (1, 0), (np.nan, 1))])
def test_an_area_has_three_finite_vertices(vertices):
    with pytest.raises(ValueError, match="three or more"):
        Area(vertices)
