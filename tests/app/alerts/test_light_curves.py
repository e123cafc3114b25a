import pytest

from streamdiff.app.alerts.curve_plot import BOTTOM, LEFT, RIGHT, TOP, CurvePlot
from streamdiff.app.alerts.light_curves import FluxPoint, LightCurves


def with_earlier(record, *visits):
    earlier = [
        {**record["diaSource"], "diaSourceId": v, "midpointMjdTai": 61000.0 + v}
        for v in visits
    ]
    return record | {"prvDiaSources": earlier}


def test_histories_that_overlap_count_once(alert):
    curves = LightCurves()
    curves.add(with_earlier(alert(visit=8, diaObjectId=5), 1, 2))
    curves.add(with_earlier(alert(visit=9, diaObjectId=5), 2, 3))
    assert [p.midpoint_mjd_tai - 61000 for p in curves.curve(5)] == [1, 2, 3, 8, 9]


@pytest.mark.parametrize("dia_object_id", [None, 0])
def test_a_dia_source_without_object_has_no_curve(alert, dia_object_id):
    curves = LightCurves()
    curves.add(with_earlier(alert(diaObjectId=dia_object_id), 1, 2))
    assert not curves.points


def test_one_flux_is_no_curve(alert):
    curves = LightCurves()
    curves.add(alert(diaObjectId=5))
    assert curves.curve(5) == ()
    assert curves.curve(6) == ()


def test_a_source_without_flux_is_no_point(alert):
    curves = LightCurves()
    curves.add(with_earlier(alert(diaObjectId=5, psfFlux=None), 1))
    unusable = alert(diaObjectId=5)
    unusable["diaSource"]["psfFlux"] = float("nan")
    curves.add(unusable)
    assert curves.curve(5) == ()


@pytest.mark.parametrize("error", [None, -1.0, float("nan"), float("inf")])
def test_an_error_that_is_none_is_no_bar(alert, error):
    curves = LightCurves()
    record = alert(diaObjectId=5)
    record["diaSource"]["psfFluxErr"] = error
    curves.add(with_earlier(record, 1))
    assert [p.error for p in curves.curve(5)] == [0, 0]


def point(day, flux, band="r", error=1.0, *, is_forced=False):
    return FluxPoint(
        midpoint_mjd_tai=61000.0 + day,
        band=band,
        flux=flux,
        error=error,
        is_forced=is_forced,
    )


def inside(x, y):
    return LEFT < x < RIGHT and TOP < y < BOTTOM


def test_every_band_has_its_place_in_the_legend():
    points = [
        point(0, 1),
        point(1, 2, "Halpha"),
        point(2, 3, "g"),
        point(3, 4, "g", is_forced=True),
        point(4, 5, ""),
    ]
    plot = CurvePlot.of(points, "nJy")
    named = [(mark.text, mark.kind) for mark in plot.legend]
    assert named == [
        ("g", "band-g"),
        ("g, forced", "band-g forced"),
        ("r", "band-r"),
        ("flux", "band-other"),
        ("Halpha", "band-other"),
    ]
    # what was detected lies over what was forced
    assert plot.marks[0].kind == "band-g forced"


def test_later_is_to_the_right_and_more_is_up():
    faint, bright = CurvePlot.of([point(0, 10), point(5, 90)], "nJy").marks
    assert faint.x < bright.x
    assert faint.y > bright.y
    assert faint.low > faint.y > faint.high


@pytest.mark.parametrize(
    "fluxes", [(5, 5), (-3e7, -2e7), (1e-9, 4e-9), (0, 0), (1e5, -1e5)]
)
@pytest.mark.parametrize("days", [(0, 0), (0, 1e-5), (0, 400)])
def test_everything_is_inside_with_round_numbers_beside_it(fluxes, days):
    error = abs(fluxes[0]) / 10
    points = [point(d, f, error=error) for d, f in zip(days, fluxes, strict=True)]
    plot = CurvePlot.of(points, "nJy")
    for mark in plot.marks:
        assert inside(mark.x, mark.y)
        assert inside(mark.x, mark.low)
        assert inside(mark.x, mark.high)
    assert TOP < plot.zero < BOTTOM
    for ticks in (plot.times, plot.fluxes):
        assert 2 <= len(ticks) <= 7
        assert len({tick.text for tick in ticks}) == len(ticks)
    read = {tick.text: tick.at for tick in plot.fluxes}
    assert min(abs(float(text)) for text in read) == 0


def test_a_flux_says_what_it_is():
    (mark, _) = CurvePlot.of([point(0.5, 12.5, error=0.25), point(1, 1)], "nJy").marks
    assert mark.text == "r: 12.5 ± 0.25 nJy at MJD 61000.50000"
