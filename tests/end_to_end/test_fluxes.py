"""Fluxes on white differences: right in the mean, and in their errors."""

import numpy as np
import pytest

from streamdiff.imaging.point_source import forced_flux
from streamdiff.model import UNUSABLE
from streamdiff.testing import PointSource, Scene
from streamdiff_al import AlardLuptonSubtractor
from streamdiff_decorrelation import WhiteningDecorrelator
from streamdiff_zogy import ZogySubtractor

SIDE, STEP = 2048, 21
# On a grid, off the pixels' centres by all fractions of one.
PLACES = np.arange(30, SIDE - 30, STEP)
X, Y = (v.ravel() for v in np.meshgrid(PLACES, PLACES))
X, Y = X + np.linspace(-0.5, 0.5, X.size), Y + np.linspace(0.5, -0.5, Y.size)
# Every other source appears, and every other one vanishes. The signal-to-noise ratio
# is about 20.
FLUX = 2200.0
SIGN = np.where(np.arange(X.size) % 2, 1, -1)


def lit(sky, sign):
    """Return a sky with the sources of one sign."""
    there = sign == SIGN
    return sky.add(
        *(PointSource(x, y, FLUX) for x, y in zip(X[there], Y[there], strict=True))
    )


def by_al(static, science, template, faded):
    """Return the whitened difference, with the kernel of a sky without changes.

    No real sky has a change beside each of its stars.
    """
    subtractor = AlardLuptonSubtractor()
    matched = subtractor.subtract(static, template)
    difference = subtractor.remake(science, faded, matched)
    return WhiteningDecorrelator().decorrelate(difference, science, faded)


def by_zogy(_, science, template, faded):
    """Return the proper difference of calibrated exposures."""
    zogy = ZogySubtractor(fluxes="calibrated", sigma_x=0, sigma_y=0)
    return zogy.subtract(science, faded)


@pytest.mark.parametrize("subtract", [by_al, by_zogy])
@pytest.mark.parametrize(("science_fwhm", "template_fwhm"), [(4.2, 3.0), (3.0, 4.2)])
def test_fluxes_at_known_positions_are_unbiased_and_so_are_their_errors(
    subtract, science_fwhm, template_fwhm
):
    sky = Scene.star_field(shape=(SIDE, SIDE), density_per_mpx=600, seed=4)
    static, science = (
        one.observe(fwhm=science_fwhm, noise=10, seed=1) for one in (sky, lit(sky, 1))
    )
    template, faded = (
        one.observe(fwhm=template_fwhm, noise=4, seed=2, visit=2)
        for one in (sky, lit(sky, -1))
    )
    white = subtract(static, science, template, faded)
    measured = forced_flux(white, X, Y, exclude=UNUSABLE)
    bright = np.array([(s.x, s.y) for s in sky.sources if s.flux > 5 * FLUX])
    distance = np.hypot(
        X[:, np.newaxis] - bright[:, 0], Y[:, np.newaxis] - bright[:, 1]
    )
    clear = (distance.min(axis=1) > 12) & np.isfinite(measured.flux)
    scale = white.kernel_sum if white.flux_scale == "template" else 1.0
    flux = (measured.flux * SIGN * scale)[clear]
    error = (measured.flux_error * scale)[clear]
    assert clear.sum() >= 8000
    # 0.5 %, and three errors of the mean of so many.
    limit = 0.005 * FLUX + 3 * error.mean() / np.sqrt(clear.sum())
    assert abs(flux.mean() - FLUX) <= limit
    # n pulls know their standard deviation to 1 / sqrt(2 n), 0.8 %.
    assert ((flux - FLUX) / error).std() == pytest.approx(1, abs=0.03)
