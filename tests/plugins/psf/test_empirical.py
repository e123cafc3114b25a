"""The PSF that stars show is the PSF that made them."""

import numpy as np
import pytest
from astropy.wcs import WCS

from streamdiff.errors import InvalidExposureError
from streamdiff.model import Exposure, ExposureId, MaskPlane
from streamdiff.model.psf import fwhm
from streamdiff_psf import EmpiricalPsf

SIDE = 384
BETA = 3.0


def moffat(dx, dy, width, half):
    """Return a Moffat profile of flux 1, averaged over 3 x 3 points per pixel."""
    alpha = width / (2 * np.sqrt(2 ** (1 / BETA) - 1))
    v, u = np.mgrid[-half : half + 1, -half : half + 1].astype(float)
    inner = (-1 / 3, 0, 1 / 3)
    total = sum(
        (1 + ((u + a - dx) ** 2 + (v + b - dy) ** 2) / alpha**2) ** -BETA
        for a in inner
        for b in inner
    )
    return total / 9 * (BETA - 1) / (np.pi * alpha**2)


def star_field(*, n=370, width=lambda x, y: 4.0, seed=0, n_defects=0):
    rng = np.random.default_rng(seed)
    margin = 40
    image = np.zeros((SIDE + 2 * margin, SIDE + 2 * margin))
    for x, y, u in rng.uniform(0, 1, (n, 3)) * [SIDE - 1, SIDE - 1, 1]:
        flux = min(300 / (1 - u), 3e5)
        column, row = round(x), round(y)
        stamp = flux * moffat(x - column, y - row, width(x, y), margin)
        image[row : row + 81, column : column + 81] += stamp
    image = image[margin:-margin, margin:-margin]
    variance = image / 2 + 200
    image += rng.normal(size=image.shape) * np.sqrt(variance)
    for row, column in rng.integers(0, SIDE, (n_defects, 2)):
        image[row, column] += 2e4
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    return Exposure(
        id=ExposureId(instrument="camera", visit=1, detector=0, band="r"),
        image=image,
        variance=variance,
        mask=np.zeros(image.shape, np.int32),
        wcs=wcs,
    )


def truth(psf, width=4.0):
    profile = moffat(0, 0, width, psf.shape[0] // 2)
    return profile / profile.sum()


@pytest.fixture(scope="module")
def estimate():
    return EmpiricalPsf().estimate(star_field())


def test_profile_is_that_of_the_stars(estimate):
    found = estimate.centred_at(SIDE / 2, SIDE / 2)
    assert np.abs(found - truth(estimate)).sum() < 0.03
    # Of 370 stars some 60 count; unseen neighbours widen each by a per cent or two.
    assert fwhm(found) == pytest.approx(fwhm(truth(estimate)), rel=0.02)


def test_profile_is_centred(estimate):
    found = estimate.centred_at(SIDE / 2, SIDE / 2)
    half = found.shape[0] // 2
    v, u = np.mgrid[-half : half + 1, -half : half + 1]
    weight = found * np.exp(-(u**2 + v**2) / 8)
    assert abs((weight * u).sum() / weight.sum()) < 0.01
    assert abs((weight * v).sum() / weight.sum()) < 0.01


def test_constant_profile_is_found_constant(estimate):
    assert len(estimate.coefficients) == 1


def test_field_that_widens_is_recovered():
    exposure = star_field(n=740, width=lambda x, y: 4 + 0.8 * (x / SIDE - 0.5))
    psf = EmpiricalPsf().estimate(exposure)
    for x, expected in [(0.1 * SIDE, 3.68), (0.9 * SIDE, 4.32)]:
        found = fwhm(psf.centred_at(x, SIDE / 2))
        assert found == pytest.approx(fwhm(truth(psf, expected)), rel=0.05)


def test_crowded_stars_are_told_apart():
    psf = EmpiricalPsf().estimate(star_field(n=2950))
    found = psf.centred_at(SIDE / 2, SIDE / 2)
    assert np.abs(found - truth(psf)).sum() < 0.06
    assert fwhm(found) == pytest.approx(fwhm(truth(psf)), rel=0.03)


def test_cosmic_rays_do_not_count():
    psf = EmpiricalPsf().estimate(star_field(n_defects=60))
    found = psf.centred_at(SIDE / 2, SIDE / 2)
    assert fwhm(found) == pytest.approx(fwhm(truth(psf)), rel=0.02)


def test_stamps_have_the_side_of_the_option():
    assert EmpiricalPsf(side=19).estimate(star_field()).shape == (19, 19)


@pytest.mark.parametrize("shape", [(1, 1), (9, 30), (64, 64)])
@pytest.mark.parametrize("value", [0.0, np.nan])
def test_too_few_stars_are_an_error_that_helps(shape, value):
    exposure = star_field()
    blank = Exposure(
        id=exposure.id,
        image=np.full(shape, value),
        variance=np.ones(shape),
        mask=np.full(shape, MaskPlane.SUSPECT),
        wcs=exposure.wcs,
    )
    with pytest.raises(InvalidExposureError, match=r"found 0 stars.*psf_uri"):
        EmpiricalPsf().estimate(blank)
