"""Which stars become kernel candidates."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.imaging.stars import Stars
from streamdiff.model import ConstantPsf
from streamdiff.model.star_list import StarList
from streamdiff.testing import Scene
from streamdiff_al.candidates import (
    UNLIMITED,
    Candidate,
    CandidateRules,
    candidate_stars,
    choose_active,
    choose_control,
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


def rank(found, other, reach=20, **rules):
    rules = replace(RULES, **rules)
    return rank_candidates(found, other, reach=reach, radius=8.0, rules=rules)


def test_candidates_keep_their_distance_from_the_border(bright):
    found = stars([19, 20, 179, 180, 100], [100, 100, 100, 100, 181])
    assert [c.x for c in rank(found, bright)] == [20, 179]


def test_star_of_best_snr_comes_first(bright):
    found = stars([50, 80, 110, 140], [100] * 4, snr=[5000, 40, 450, 1200])
    assert [c.x for c in rank(found, bright)] == [110, 140, 50, 80]


def test_faint_stars_are_no_candidates(bright):
    found = stars([50, 80], [100, 100], snr=[9.9, 10.1])
    assert [c.x for c in rank(found, bright)] == [80]


def test_stars_brighter_than_asked_for_are_no_candidates(bright):
    found = stars([50, 80], [100, 100], snr=[400, 600])
    assert [c.x for c in rank(found, bright, max_snr=500)] == [50]


def test_star_that_the_other_image_does_not_show_is_no_candidate():
    blank = Scene(shape=(200, 200)).observe(noise=10.0)
    assert rank(stars([50, 80], [100, 100]), blank) == []


def test_neighbour_of_a_much_brighter_star_is_no_candidate(bright):
    found = stars([50, 55, 120, 125], [100] * 4, flux=[1e5, 9e3, 1e5, 5e4])
    assert sorted(c.x for c in rank(found, bright)) == [50, 120, 125]


def test_no_stars_are_no_candidates(bright):
    assert rank(stars([], []), bright) == []


def test_catalogue_of_the_exposure_wins_over_what_is_found_on_it():
    scene = Scene.star_field(shape=(200, 200), seed=2)
    exposure = scene.observe(fwhm=3.0, noise=10.0)
    known = max(scene.sources, key=lambda star: star.flux)
    listed = StarList(x=[known.x], y=[known.y], flux=[1.0], snr=[50.0])
    assert len(candidate_stars(exposure, RULES)) > 10
    (x,) = candidate_stars(replace(exposure, stars=listed), RULES).x
    assert x == pytest.approx(known.x, abs=0.2)


def test_empty_catalogue_has_no_candidates():
    exposure = Scene.star_field(shape=(100, 100)).observe(noise=10.0)
    none = StarList(x=[], y=[], flux=[], snr=[])
    assert len(candidate_stars(replace(exposure, stars=none), RULES)) == 0


def in_cells(*cells):
    return [Candidate(x=0.0, y=0.0, snr=100.0, cell=cell) for cell in cells]


def active(candidates, rejected=(), **rules):
    return choose_active(candidates, set(rejected), replace(RULES, **rules))


def test_each_cell_has_its_best_candidates():
    assert active(in_cells(1, 1, 2, 1, 2), per_cell=2) == [0, 1, 2, 4]


def test_next_candidate_of_a_cell_is_promoted():
    assert active(in_cells(1, 1, 2, 1, 2), {0}, per_cell=2) == [1, 2, 3, 4]


def test_no_more_than_the_most_are_used_and_they_are_the_best():
    assert active(in_cells(1, 1, 2, 1, 2), per_cell=2, most=3) == [0, 1, 2]


def test_all_are_used_without_limits():
    many = in_cells(*400 * [1])
    assert len(active(many, per_cell=UNLIMITED, most=UNLIMITED)) == 400


def test_cells_are_as_large_as_asked_for(bright):
    found = stars([30, 90, 110, 160], [100] * 4)
    cells = [c.cell for c in sorted(rank(found, bright, cell_size=100), key=by_x)]
    assert cells[0] == cells[1] != cells[2] == cells[3]


def by_x(candidate):
    return candidate.x


def test_full_cells_hold_about_the_most(bright):
    y, x = (v.ravel() for v in np.mgrid[20:180, 20:180])
    ranked = rank_candidates(stars(x, y), bright, reach=20, radius=0.5, rules=RULES)
    # Cells are not smaller than 32 px: 7 x 7 of them cover the image.
    assert 100 <= len(active(ranked)) <= RULES.most


def test_every_so_many_of_the_best_are_held_back():
    rules = replace(RULES, control_step=3, per_cell=7)
    assert choose_control(in_cells(*8 * [1]), rules) == {2, 5}


def test_none_is_held_back_where_too_few_would_be_left():
    rules = replace(RULES, control_step=2, least=3)
    assert not choose_control(in_cells(1, 1, 1, 1), rules)
    assert choose_control(in_cells(1, 1, 1, 1, 1), rules) == {1, 3}


def test_none_is_held_back_by_default():
    assert not choose_control(in_cells(*8 * [1]), RULES)
