"""The score of a difference cutout."""

import numpy as np
import pytest

from streamdiff.app.monitor.cutouts import read_stamp, score

SIDE, VARIANCE = 41, 4.0


@pytest.fixture
def psf():
    y, x = np.mgrid[-7:8, -7:8]
    stamp = np.exp(-(x**2 + (y / 1.3) ** 2) / 8)
    return stamp / stamp.sum()


def test_a_source_has_the_significance_of_its_flux(psf):
    flux = 300.0
    image = np.zeros((SIDE, SIDE))
    image[13:28, 13:28] = flux * psf

    found = score(image, np.full(image.shape, VARIANCE), psf)

    # flux over the error of the best fit: sqrt(variance / sum of psf**2)
    assert found.max() == pytest.approx(flux * np.sqrt((psf**2).sum() / VARIANCE))
    assert np.unravel_index(found.argmax(), found.shape) == (20, 20)


def test_noise_has_a_score_of_one_sigma(psf):
    rng = np.random.default_rng(8)
    image = rng.normal(0, np.sqrt(VARIANCE), (200, 200))

    found = score(image, np.full(image.shape, VARIANCE), psf)

    # about 40000 / 25 pixels of the filter are independent: 1.8 %, at 4 sigma 7 %
    assert found.std() == pytest.approx(1, abs=0.07)


def test_pixels_without_data_have_no_weight(psf):
    image = np.zeros((SIDE, SIDE))
    image[13:28, 13:28] = psf
    variance = np.ones(image.shape)
    whole = score(image, variance, psf)
    image[20, 24], variance[20, 25], image[:5] = np.nan, 0, np.inf

    found = score(image, variance, psf)

    lost = (psf[7, [11, 12]] ** 2).sum()
    expected = whole[20, 20] * np.sqrt(1 - lost / (psf**2).sum())
    assert found[20, 20] == pytest.approx(expected)


def test_nothing_but_missing_data_has_no_score(psf):
    nothing = np.full((SIDE, SIDE), np.nan)
    assert np.isnan(score(nothing, nothing, psf)).all()


def test_an_alert_with_variance_and_psf_has_a_score(records):
    stamp = read_stamp(records[0], "score")
    assert stamp.image.shape == (31, 31)
    assert read_stamp({"cutoutDifference": None}, "score") is None
