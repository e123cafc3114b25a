from datetime import UTC, datetime

import numpy as np
import pytest
from astropy.wcs import WCS

from streamdiff.errors import PluginContractError
from streamdiff.model import (
    DETECTION_COLUMNS,
    Column,
    ConstantPsf,
    Convolved,
    DiaSources,
    Difference,
    Exposure,
    FluxScale,
    MaskPlane,
    Noise,
    Provenance,
    TemplateUse,
    VisitReady,
    dia_source_ids,
)
from streamdiff.pipeline.alerts import cutout_sides, identified, make_alerts
from streamdiff.stages import Images

EVENT = VisitReady(
    event_id="e1",
    instrument="SimCam",
    visit=2026030500055,
    detector=140,
    band="r",
    midpoint_mjd_tai=61105.125,
    exposure_time_s=30.0,
    image_uri="file:///data/140.fits",
    published_at=datetime(2026, 3, 5, tzinfo=UTC),
)
USES = (TemplateUse(template_id="deep/1/2/r", version=7, fraction=1.0),)
PROVENANCE = Provenance(software_version="1.0")
SHAPE = (200, 300)
FLUX = Column("psfFlux", "f4", "nJy", "Flux of a point source")


def sky_wcs():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [150.0, -30.0]
    wcs.wcs.crpix = [150, 100]
    wcs.wcs.cd = np.diag([-0.2, 0.2]) / 3600
    return wcs


def images(*, photometric=True):
    """Return a difference of 0, a science image of 1 and a template of 2."""
    shared = {
        "id": EVENT.exposure_id,
        "variance": np.ones(SHAPE),
        "mask": np.zeros(SHAPE, np.int32),
        "wcs": sky_wcs(),
        "psf": ConstantPsf(np.ones((5, 5))),
        "photometric": photometric,
    }
    return Images(
        difference=Difference(
            **shared,
            image=np.zeros(SHAPE),
            flux_scale=FluxScale.TEMPLATE,
            kernel_sum=1.0,
            convolved=Convolved.TEMPLATE,
            noise=Noise.WHITE,
        ),
        science=Exposure(**shared, image=np.full(SHAPE, 1.0)),
        template=Exposure(**shared, image=np.full(SHAPE, 2.0)),
    )


def table(x, y, *, bbox_size=9, **columns):
    n = len(x)
    values = {
        "x": x,
        "y": y,
        "snr": np.full(n, 7.5),
        "isNegative": np.zeros(n, bool),
        "bboxSize": np.full(n, bbox_size),
        "footprintArea": np.full(n, 40),
    }
    sources = DiaSources(
        DETECTION_COLUMNS, {k: np.asarray(v) for k, v in values.items()}
    )
    added = [Column(name, "f8", "", "Measured") for name in columns]
    return sources.with_columns(added, columns)


def alerts(sources, **changes):
    return make_alerts(EVENT, sources, images(**changes), USES, PROVENANCE)


def test_there_is_one_alert_per_dia_source_in_the_order_of_the_table():
    found = alerts(table([10.0, 200.0, 50.0], [150.0, 20.0, 20.0]))
    assert [a.dia_source["x"] for a in found] == [10.0, 200.0, 50.0]


def test_no_dia_sources_make_no_alerts():
    assert alerts(DiaSources.empty()) == ()


def test_ids_are_those_of_the_positions():
    x, y = [10.0, 200.0, 50.0], [150.0, 20.0, 20.0]
    found = [a.dia_source["diaSourceId"] for a in alerts(table(x, y))]
    assert found == dia_source_ids(EVENT.exposure_id, x, y).tolist()
    assert [i & 0x3FFF for i in found] == [2, 1, 0]
    assert {i >> 22 for i in found} == {EVENT.visit}


def test_ids_do_not_depend_on_the_order_of_the_table():
    x, y = np.array([10.0, 200.0, 50.0]), np.array([150.0, 20.0, 20.0])
    order = [2, 0, 1]
    ids = {a.dia_source["x"]: a.dia_source["diaSourceId"] for a in alerts(table(x, y))}
    again = alerts(table(x[order], y[order]))
    assert {a.dia_source["x"]: a.dia_source["diaSourceId"] for a in again} == ids


def test_fields_of_the_exposure_are_those_of_the_event():
    (alert,) = alerts(table([10.0], [20.0]))
    expected = {
        "visit": EVENT.visit,
        "detector": 140,
        "band": "r",
        "midpointMjdTai": 61105.125,
    }
    assert expected.items() <= alert.dia_source.items()
    assert (alert.event_id, alert.templates, alert.provenance) == (
        "e1",
        USES,
        PROVENANCE,
    )


def test_sky_positions_follow_from_the_wcs():
    (alert,) = alerts(table([149.0], [99.0]))
    assert alert.dia_source["ra"] == pytest.approx(150.0, abs=1e-9)
    assert alert.dia_source["dec"] == pytest.approx(-30.0, abs=1e-9)


def test_measured_sky_positions_are_kept():
    (alert,) = alerts(table([149.0], [99.0], ra=[1.5], dec=[2.5]))
    assert (alert.dia_source["ra"], alert.dia_source["dec"]) == (1.5, 2.5)


def test_a_sky_position_that_failed_is_that_of_the_pixel():
    (alert,) = alerts(table([149.0], [99.0], ra=[np.nan], dec=[2.5]))
    assert alert.dia_source["ra"] == pytest.approx(150.0, abs=1e-9)
    assert alert.dia_source["dec"] == pytest.approx(-30.0, abs=1e-9)


def test_values_are_python_s():
    (alert,) = alerts(table([10.0], [20.0], psfFlux=[3.5]))
    kinds = {type(value) for value in alert.dia_source.values()}
    assert kinds <= {bool, int, float, str}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_missing(value):
    first, second = alerts(table([10.0, 50.0], [20.0, 20.0], psfFlux=[value, 3.5]))
    assert first.dia_source["psfFlux"] is None
    assert second.dia_source["psfFlux"] == 3.5


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_position_that_is_not_finite_breaks_the_contract(value):
    with pytest.raises(PluginContractError, match="x and y of a DiaSource"):
        alerts(table([10.0, value], [20.0, 20.0]))


def test_cutouts_are_of_their_images_and_centred():
    (alert,) = alerts(table([100.0], [50.0]))
    cutouts = alert.cutout_difference, alert.cutout_science, alert.cutout_template
    assert [c.image[15, 15] for c in cutouts] == [0.0, 1.0, 2.0]
    assert {c.shape for c in cutouts} == {(31, 31)}
    for c in cutouts:
        found = np.ravel(c.wcs.pixel_to_world_values(15, 15))
        expected = [alert.dia_source["ra"], alert.dia_source["dec"]]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_cutouts_at_the_corner_say_where_there_is_no_data():
    (alert,) = alerts(table([0.0], [0.0]))
    no_data = MaskPlane.NO_DATA.in_mask(alert.cutout_science.mask)
    assert no_data.sum() == 31 * 31 - 16 * 16


@pytest.mark.parametrize(
    ("bbox_size", "side"),
    [(0, 31), (30, 31), (31, 31), (32, 33), (101, 101), (102, 103), (5000, 103)],
)
def test_cutouts_hold_the_footprint_within_limits(bbox_size, side):
    assert cutout_sides(np.array([bbox_size])).tolist() == [side]


@pytest.mark.parametrize("photometric", [True, False])
def test_an_alert_tells_whether_its_fluxes_are_calibrated(photometric):
    (alert,) = alerts(table([10.0], [20.0]), photometric=photometric)
    assert alert.photometric is photometric


def test_the_identified_table_has_the_fields_of_the_alerts():
    sources = identified(EVENT, table([10.0, 50.0], [20.0, 20.0]), sky_wcs())
    assert sources.row(1) == alerts(sources)[1].dia_source


def test_an_empty_table_can_be_identified():
    sources = identified(EVENT, DiaSources.empty(), sky_wcs())
    assert len(sources) == 0
    assert {"diaSourceId", "ra", "dec", "band"} <= set(sources.values)
