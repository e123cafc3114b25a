"""Frames of different seeing, looked at closely with either subtractor."""

from typing import NamedTuple

import numpy as np
import pytest
from saao_frames import BRIGHT_STAR, MEGAPIXELS, RADIUS, configured, frame_path, place

from streamdiff.app.environment import find_plugins, read_settings
from streamdiff.app.single import Workbench
from streamdiff.imaging.stars import find_stars
from streamdiff.model import UNUSABLE, MaskPlane
from streamdiff.testing.figures import noise_ratio, star_residuals

pytestmark = [pytest.mark.frames, pytest.mark.timeout(900)]

# As sharp as the template, sharper, elongated, and as deep.
CLOSE_UP = (1, 29, 100, 150)


class Limits(NamedTuple):
    """What close-ups may show: false alerts per Mpx, and the significance's spread.

    And the residuals of stars of a peak of at least 50 sigma, in units of the noise:
    what no match of the PSFs removes. The sharp, elongated frame (100) has the
    largest.
    """

    false_per_mpx: float
    median_std: float
    max_std: float
    median_residual: float
    max_residual: float


LIMITS = {
    "al": Limits(60, 1.2, 1.3, 2.0, 3.0),
    "zogy": Limits(200, 1.2, 1.3, 3.2, 6.0),
}
MAX_LOST = 0.2


@pytest.fixture(scope="module", params=list(LIMITS))
def subtractor(request):
    return request.param


@pytest.fixture(scope="module")
def limits(subtractor):
    return LIMITS[subtractor]


@pytest.fixture(scope="module")
def close_ups(subtractor, folder, table, work, template):
    """Return some frames' rows of the table, and what they show, by subtractor."""
    settings = read_settings(configured(folder, work, subtractor))
    bench = Workbench(settings=settings, registry=find_plugins())
    rows = [row for row in table if int(row["frame"]) in CLOSE_UP]
    assert len(rows) == len(CLOSE_UP)
    return [
        (row, bench.subtract(frame_path(folder, row), work / "template.fits"))
        for row in rows
    ]


@pytest.fixture(scope="module")
def blank_parts(close_ups, blank_sky):
    """Return what close-ups show, and where that is blank sky."""
    return [(result, blank_sky(result, *place(row))) for row, result in close_ups]


def offsets(row, result):
    sources = result.products.sources
    x, y = place(row)
    return np.hypot(sources["x"] - x, sources["y"] - y)


def test_either_subtractor_finds_the_event(close_ups):
    nearest = [offsets(*close_up).min() for close_up in close_ups]
    assert max(nearest) <= RADIUS, nearest


def test_either_subtractor_claims_little_else(close_ups, limits):
    n_false = [int((offsets(*close_up) > RADIUS).sum()) for close_up in close_ups]
    per_mpx = sum(n_false) / (len(n_false) * MEGAPIXELS)
    assert per_mpx <= limits.false_per_mpx, n_false


def test_significance_of_blank_sky_has_unit_variance(blank_parts, limits):
    std = [
        float(result.products.images.difference.score[blank].std())
        for result, blank in blank_parts
    ]
    # Above it: wings of stars beyond the border, rings that errors of the PSFs leave.
    assert 0.9 <= np.median(std) <= limits.median_std, std
    assert max(std) <= limits.max_std, std


def test_most_of_the_field_is_usable(close_ups):
    planes = UNUSABLE | MaskPlane.SAT_TEMPLATE | MaskPlane.EDGE
    masks = [result.products.images.difference.mask for _, result in close_ups]
    # A tenth of a frame lies beyond the template's, or the other way round.
    lost = [float(planes.in_mask(mask).mean()) for mask in masks]
    assert max(lost) <= MAX_LOST, lost


def test_stars_leave_little(blank_parts, limits):
    left = [float(star_residual(result, blank)) for result, blank in blank_parts]
    assert np.median(left) <= limits.median_residual, left
    assert max(left) <= limits.max_residual, left


def star_residual(result, blank):
    """Return the residual of bright stars away from saturated ones, over the noise.

    Stars under a streak, such as a bleed of those, do not count.
    """
    difference = result.products.images.difference
    template = result.products.images.template
    stars = find_stars(template, threshold=BRIGHT_STAR)
    rows, columns = (np.rint(v).astype(int) for v in (stars.y, stars.x))
    sigma = np.sqrt(difference.variance[rows, columns])
    bright = stars.peak >= BRIGHT_STAR * sigma
    bright &= ~MaskPlane.STREAK.in_mask(difference.mask)[rows, columns]
    residual = star_residuals(difference, stars.x[bright], stars.y[bright])
    typical = np.sqrt(np.nanmean(np.square(residual)))
    return typical / noise_ratio(difference, blank)
