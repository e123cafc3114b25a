"""Which stars become kernel candidates."""

import numpy as np
import pytest

from streamdiff.imaging.stars import Stars
from streamdiff.model import ConstantPsf
from streamdiff.testing import Scene
from streamdiff_al.candidates import (
    Candidate,
    CandidateRules,
    choose_active,
    rank_candidates,
)

RULES = CandidateRules()


def stars(x, y, flux=1e5, snr=100.0):
    n = len(x)
    return Stars(
        x=np.array(x, float),
        y=np.array(y, float),
        flux=np.broadcast_to(flux, n).astype(float),
        snr=np.broadcast_to(snr, n).astype(float),
        peak=np.full(n, 1e3),
        fwhm=np.full(n, 3.0),
        elongation=np.ones(n),
        blended=np.zeros(n, bool),
    )


@pytest.fixture
def bright():
    """An exposure that is bright everywhere: each star is seen on it."""
    exposure = Scene(shape=(200, 200)).observe(noise=1.0)
    image = exposure.image + np.float32(1000)
    return type(exposure)(
        id=exposure.id,
        image=image,
        variance=exposure.variance,
        mask=exposure.mask,
        wcs=exposure.wcs,
        psf=ConstantPsf(np.ones((3, 3))),
    )


def rank(found, other, reach=20):
    return rank_candidates(found, other, reach=reach, radius=8.0, rules=RULES)


def test_candidates_keep_their_distance_from_the_border(bright):
    found = stars([19, 20, 179, 180, 100], [100, 100, 100, 100, 181])
    assert [c.x for c in rank(found, bright)] == [20, 179]


def test_star_of_best_snr_comes_first(bright):
    found = stars([50, 80, 110, 140], [100] * 4, snr=[5000, 40, 450, 1200])
    assert [c.x for c in rank(found, bright)] == [110, 140, 50, 80]


def test_faint_stars_are_no_candidates(bright):
    found = stars([50, 80], [100, 100], snr=[9.9, 10.1])
    assert [c.x for c in rank(found, bright)] == [80]


def test_star_that_the_other_image_does_not_show_is_no_candidate():
    blank = Scene(shape=(200, 200)).observe(noise=10.0)
    assert rank(stars([50, 80], [100, 100]), blank) == []


def test_neighbour_of_a_much_brighter_star_is_no_candidate(bright):
    found = stars([50, 55, 120, 125], [100] * 4, flux=[1e5, 9e3, 1e5, 5e4])
    assert sorted(c.x for c in rank(found, bright)) == [50, 120, 125]


def test_no_stars_are_no_candidates(bright):
    assert rank(stars([], []), bright) == []


def in_cells(*cells):
    return [Candidate(x=0.0, y=0.0, cell=cell) for cell in cells]


def test_each_cell_has_its_best_candidates():
    assert choose_active(in_cells(1, 1, 2, 1, 2), set(), 2) == [0, 1, 2, 4]


def test_next_candidate_of_a_cell_is_promoted():
    assert choose_active(in_cells(1, 1, 2, 1, 2), {0}, 2) == [1, 2, 3, 4]


def test_full_cells_hold_no_more_than_the_most(bright):
    y, x = (v.ravel() for v in np.mgrid[20:180, 20:180])
    rules = CandidateRules(most=200, per_cell=5)
    ranked = rank_candidates(stars(x, y), bright, reach=20, radius=0.5, rules=rules)
    active = choose_active(ranked, set(), rules.per_cell)
    # Cells are not smaller than 32 px: 7 x 7 of them cover the image.
    assert 100 <= len(active) <= 49 * rules.per_cell
