import pytest

from streamdiff.app.alerts.light_curves import LightCurves, draw_curve


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


def test_a_curve_is_drawn_in_several_bands(alert):
    curves = LightCurves()
    for visit, band in ((7, "r"), (8, "g"), (9, "Halpha")):
        curves.add(alert(visit=visit, band=band, diaObjectId=5, psfFluxErr=None))
    assert draw_curve(curves.curve(5), "nJy").startswith(b"\x89PNG")
