"""Messages of others that tell of exposures."""

import json

import fsspec
import numpy as np
import pytest
from astropy.io import fits

from streamdiff.errors import ConfigError, UndecodableError
from streamdiff.model import PreloadHint
from streamdiff.ports import ConsumedRecord
from streamdiff_notifications import NextVisit, S3ObjectCreated

HEADER = {
    "INSTRUME": "LSSTCam",
    "VISIT": 2026030500055,
    "DETECTOR": 94,
    "BAND": "r",
    "FILTER": "r_03",
    "MJD-TAI": 61104.1,
    "EXPTIME": 30.0,
}
KEY = "LSSTCam/20260305/MC_O_20260305_000055/MC_O_20260305_000055_R22_S11.fits"


def record(value):
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return ConsumedRecord(
        topic="bucket", partition=0, offset=0, key=None, value=content
    )


@pytest.fixture
def notification(shared_data):
    """Return a notification of Ceph."""
    path = shared_data / "events" / "s3_object_created.json"
    return json.loads(path.read_text())


@pytest.fixture
def put():
    """Return a function: a key and a header -> an object in the bucket rubin-raw."""
    store = fsspec.filesystem("memory")
    made = []

    def write(key=KEY, **changes):
        header = fits.Header({**HEADER, **changes})
        content = fits.PrimaryHDU(np.zeros((4, 4), np.float32), header)
        path = f"/rubin-raw/{key}"
        with store.open(path, "wb") as file:
            content.writeto(file)
        made.append(path)

    yield write
    for path in made:
        store.rm(path)


def decoder(**options):
    chosen = {"buckets": ("rubin-raw",), "uri": "memory://{bucket}/{key}"}
    return S3ObjectCreated(**chosen | options)


def test_a_notification_is_an_event_with_the_fields_of_the_header(notification, put):
    put()

    [event] = decoder().decode(record(notification))

    assert (event.instrument, event.visit, event.detector) == (
        "LSSTCam",
        2026030500055,
        94,
    )
    assert (event.band, event.physical_filter) == ("r", "r_03")
    assert (event.midpoint_mjd_tai, event.exposure_time_s) == (61104.1, 30.0)
    assert event.image_uri == f"memory://rubin-raw/{KEY}"
    assert event.published_at.isoformat() == "2026-03-05T02:14:35.124724+00:00"


def test_the_same_object_is_the_same_event_and_a_new_one_another(notification, put):
    put()
    [once] = decoder().decode(record(notification))
    [again] = decoder().decode(record(notification))
    notification["Records"][0]["s3"]["object"]["eTag"] = "other"
    [other] = decoder().decode(record(notification))

    assert once.event_id == again.event_id != other.event_id


def test_groups_of_the_key_win_over_the_header(notification, put):
    put()
    pattern = r"(?P<instrument>\w+)/(?P<visit>\d+)/.*\.fits"

    [event] = decoder(key_pattern=pattern).decode(record(notification))

    assert (event.instrument, event.visit) == ("LSSTCam", 20260305)
    assert event.detector == 94


def test_keywords_may_be_others(notification, put):
    put(BAND=None, PASSBAND="z")

    [event] = decoder(keywords={"band": "PASSBAND"}).decode(record(notification))

    assert event.band == "z"


@pytest.mark.parametrize("name", ["s3:ObjectCreated:Put", "ObjectCreated:Copy"])
def test_names_of_aws_and_ceph_are_understood(notification, put, name):
    put()
    notification["Records"][0]["eventName"] = name
    assert len(decoder().decode(record(notification))) == 1


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("eventName", "ObjectRemoved:Delete"),
        ("s3.bucket.name", "other"),
        ("s3.object.key", "LSSTCam/20260305/sidecar.json"),
    ],
)
def test_what_is_no_exposure_is_passed_over(notification, path, value):
    *parents, last = path.split(".")
    place = notification["Records"][0]
    for name in parents:
        place = place[name]
    place[last] = value

    assert decoder().decode(record(notification)) == ()


def test_keys_are_unquoted(notification, put):
    put("a folder/b+c.fits")
    notification["Records"][0]["s3"]["object"]["key"] = "a+folder/b%2Bc.fits"

    [event] = decoder().decode(record(notification))

    assert event.image_uri == "memory://rubin-raw/a folder/b+c.fits"


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x00\x01",
        b"[]",
        b"{}",
        b'{"Records": 1}',
        b'{"Records": [1]}',
        b'{"Records": [{"eventName": "ObjectCreated:Put"}]}',
        b'{"Records": [{"eventName": 3}]}',
        b"[" * 100_000,
    ],
)
def test_other_messages_are_left_to_others(message):
    for one in (decoder(), NextVisit()):
        with pytest.raises(UndecodableError):
            one.decode(record(message))


def test_an_object_that_is_gone_or_lacks_a_field_is_named(notification, put):
    with pytest.raises(UndecodableError, match="can not be read"):
        decoder().decode(record(notification))
    put(**{"MJD-TAI": None})
    with pytest.raises(UndecodableError, match=r"lacks MJD-TAI \(midpoint_mjd_tai\)"):
        decoder().decode(record(notification))


def test_an_object_that_is_no_image_is_named(notification, put):
    put()
    fsspec.filesystem("memory").pipe(f"/rubin-raw/{KEY}", b"no image" * 1000)
    with pytest.raises(UndecodableError, match="can not be read"):
        decoder().decode(record(notification))


def test_a_key_does_not_lead_out_of_the_bucket(notification):
    notification["Records"][0]["s3"]["object"]["key"] = "../secret/a.fits"
    with pytest.raises(UndecodableError, match="leads out"):
        decoder().decode(record(notification))


@pytest.mark.parametrize(
    "options", [{"key_pattern": "("}, {"keywords": {"colour": "BAND"}}]
)
def test_options_that_can_not_be_meant_are_refused(options):
    with pytest.raises(ConfigError):
        decoder(**options)


@pytest.fixture
def announced(shared_data):
    """Return the announcement of a visit, as it comes for each detector."""
    path = shared_data / "events" / "fanned_out_visit.json"
    return json.loads(path.read_text())


def test_an_announcement_is_a_hint_on_its_field(announced):
    [hint] = NextVisit(bands={"k2022": "K"}, radius_deg=0.2).decode(record(announced))
    assert hint == PreloadHint(
        instrument="LSSTCam",
        detector=42,
        band="K",
        ra=134.5454,
        dec=-65.3261,
        radius_deg=0.2,
    )
    [hint] = NextVisit().decode(record(announced | {"filters": "r_57"}))
    assert hint.band == "r"


@pytest.mark.parametrize(
    ("angle", "flip_x", "east", "north"),
    [(0, False, 0.5, 0.2), (0, True, -0.5, 0.2), (90, False, 0.2, -0.5)],
)
def test_the_field_of_a_detector_is_turned_with_the_camera(
    announced, angle, flip_x, east, north
):
    decoder = NextVisit(detector_offsets={"42": (0.5, 0.2)}, flip_x=flip_x)
    [hint] = decoder.decode(record(announced | {"cameraAngle": angle}))
    ra, dec = announced["position"]
    scale = np.cos(np.radians(dec))
    # within what the tangent plane and its cosine differ over half a degree
    assert (hint.ra - ra) * scale == pytest.approx(east, abs=0.02)
    assert hint.dec - dec == pytest.approx(north, abs=0.02)


def test_an_announcement_without_images_filter_or_position_is_passed_over(
    shared_data, announced
):
    test_message = (shared_data / "events" / "next_visit_sal_value.json").read_bytes()
    for content in (
        test_message,
        announced | {"nimages": 0},
        announced | {"filters": ""},
        announced | {"coordinateSystem": 3},
    ):
        assert NextVisit().decode(record(content)) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"position": [10.0]},
        {"position": [10.0, 91.0]},
        {"position": [None, 0.0]},
        {"position": "ab"},
        {"detector": "R22"},
    ],
)
def test_an_announcement_that_can_not_be_meant_is_refused(announced, change):
    with pytest.raises(UndecodableError, match="no nextVisit"):
        NextVisit().decode(record(announced | change))
