"""Pictures in a terminal show what is there."""

import numpy as np
import pytest

from streamdiff.app.alerts.light_curves import FluxPoint
from streamdiff.app.alerts.triplets import Triplet
from streamdiff.cli.alert_pictures import curve_text, triplet_text

NOISE = np.random.default_rng(1).normal(size=(31, 31))


def triplet(science=NOISE, template=NOISE, difference=NOISE):
    return Triplet(science=science, template=template, difference=difference)


@pytest.mark.parametrize("colours", [True, False])
@pytest.mark.parametrize("width", [1, 7, 40, 80, 95, 300])
def test_a_triplet_fits_the_terminal(width, colours):
    lines = triplet_text(triplet(), width, colours=colours).plain.splitlines()
    # one pixel of each panel is the least
    assert max(map(len, lines)) <= max(width, 3 * (1 if colours else 2) + 4)
    heights = {(300, True): 17, (300, False): 32, (40, False): 7, (1, True): 2}
    assert len(lines) == heights.get((width, colours), len(lines))


def test_a_star_is_bright_and_above_the_middle():
    star = np.zeros((31, 31))
    star[20, 15] = 1e3  # rows count from the bottom
    star += NOISE
    text = triplet_text(triplet(science=star), 300, colours=False).plain
    rows = text.splitlines()[1:]
    assert rows[30 - 20][30:32] == "@@"


def test_pixels_without_data_are_no_shade_of_gray():
    hole = NOISE.copy()
    hole[15, 15] = np.nan
    rows = triplet_text(triplet(science=hole), 300, colours=False).plain.splitlines()
    assert rows[1 + 15][30:32] == "??"
    assert "".join(rows[1:]).count("?") == 2
    coloured = triplet_text(triplet(science=hole), 300, colours=True)
    styles = {str(span.style) for span in coloured.spans}
    assert any("rgb(205,219,235)" in style for style in styles)


def test_cutouts_of_other_sides_stand_beside_each_other():
    text = triplet_text(triplet(template=NOISE[:5, :5]), 300, colours=False).plain
    lines = text.splitlines()
    assert len(lines) == 32
    assert lines[0].split() == ["science", "template", "difference"]


def point(time, flux, band="r", *, is_forced=False):
    return FluxPoint(
        midpoint_mjd_tai=time, band=band, flux=flux, error=1.0, is_forced=is_forced
    )


def test_a_light_curve_rises_to_the_right():
    points = [point(10, 0.0, is_forced=True), point(15, 50.0, "g"), point(20, 100.0)]
    lines = curve_text(points, 80, "nJy").plain.splitlines()
    assert max(map(len, lines)) <= 80
    top, bottom = lines[1], lines[12]
    assert top.startswith("        100 |")
    assert top.endswith("R")
    assert bottom.startswith("          0 |r-")
    (middle,) = [line for line in lines[2:12] if "G" in line]
    assert 40 < middle.index("G") < 52
    assert lines[13].split() == ["10.000", "20.000"]


@pytest.mark.parametrize("flux", [5.0, -5.0, 0.0])
@pytest.mark.parametrize("width", [1, 30, 80])
def test_one_flux_is_drawn(flux, width):
    text = curve_text([point(10, flux, "")], width, "adu").plain
    assert text.count("O") == 1
    assert "flux [adu]" in text
