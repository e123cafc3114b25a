"""The pages, asked for without a browser."""

import json
import re
from io import BytesIO

import fastavro
import pytest
from matplotlib.image import imread

ALERT = "/alerts/1003"
EVERY = (
    "/",
    "/alerts",
    ALERT,
    f"{ALERT}/packet.avro",
    f"{ALERT}/science.png",
    f"{ALERT}/score.png",
    f"{ALERT}/difference.json",
    "/status.json",
    "/alerts.json",
    "/static/style.css",
    "/static/monitor.css",
    "/static/monitor.js",
    "/static/icon.svg",
)
MISSING = (
    "/nowhere",
    "/alerts/5",
    "/alerts/x",
    "/alerts/99999999999999999999999",
    "/alerts/-1/packet.avro",
    f"{ALERT}/noise.png",
    f"{ALERT}/nonsense.json",
    "/static/../site.py",
    "/static/%2e%2e/site.py",
    "/static/site.py",
)


def ids(answer):
    return [
        int(i) for i in re.findall(r'class="open" href="/alerts/(\d+)"', answer.text)
    ]


@pytest.mark.parametrize("address", EVERY)
def test_every_page_is_served_under_the_policy(pages, address):
    answer = pages.get(address)

    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("address", MISSING)
def test_what_is_not_there_is_not_found(pages, address):
    assert pages.get(address).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("address", ["/", ALERT])
def test_nothing_can_be_written(pages, method, address):
    answer = pages.request(method, address)

    assert answer.status_code == 405
    assert "content-security-policy" in answer.headers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8090", "127.0.0.1.evil.example", ""]
)
def test_a_host_that_is_not_ours_is_refused(pages, host):
    assert pages.get("/", headers={"host": host}).status_code == 400


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "[::1]:80", "127.0.0.1"])
def test_the_names_of_this_machine_are_served(pages, host):
    assert pages.get("/", headers={"host": host}).status_code == 200


def test_a_name_that_is_allowed_is_served(browse, recent):
    pages = browse(recent, hosts=("monitor.example",))

    assert pages.get("/", headers={"host": "monitor.example"}).status_code == 200
    assert pages.get("/", headers={"host": "localhost"}).status_code == 400


@pytest.mark.parametrize("address", ["/", "/alerts", "/alerts/1000", "/alerts?band=x"])
def test_hostile_text_is_shown_as_text(browse, hostile, address):
    answer = browse(hostile).get(address)

    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert "<img src=x" not in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text


def test_hostile_parameters_are_shown_as_text_or_not_at_all(pages):
    text = '"><script>alert(1)</script>'
    names = ("band", "min_snr", "object", "visit", "sort", "page", "scale", "zoom")
    for address in ("/alerts", ALERT):
        answer = pages.get(address, params=dict.fromkeys(names, text))
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text


def test_pages_have_no_inline_script_or_style(pages):
    for address in ("/", "/alerts", ALERT, "/nowhere"):
        text = pages.get(address).text
        assert re.findall(r"<script(?![^>]*\bsrc=)", text) == []
        assert re.findall(r"<style|\bstyle=|\bon[a-z]+=", text) == []


def test_pages_name_nothing_of_other_servers(pages):
    for address in ("/", "/alerts", ALERT):
        links = re.findall(r'(?:src|href|action)="([^"]*)"', pages.get(address).text)
        assert links
        assert [link for link in links if not link.startswith("/")] == []


def test_the_overview_tells_outcomes_by_reason(pages):
    text = pages.get("/").text

    assert "no_template" in text
    assert "timeout" in text
    assert "1 d" not in text
    assert 'title="detector 3: failed timeout, 7 alerts"' in text


def test_alerts_alone_tell_no_rates(browse, make_recent, records):
    text = browse(make_recent(records)).get("/").text

    assert "12 alerts. Rates, latency and outcomes are in event logs" in text
    assert "Waiting" not in text
    assert "alerts of detector 3" in text


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("", range(1011, 999, -1)),
        ("?sort=snr", range(1000, 1012)),
        ("?band=g&sort=id", range(1000, 1012, 2)),
        ("?min_snr=14.5", [1011, 1010]),
        ("?min_reliability=0.55&max_reliability=0.75&sort=id", [1006, 1007]),
        ("?dipole=yes", [1003]),
        ("?object=77&sort=-flux", [1003, 1002, 1001, 1000]),
        ("?visit=8&detector=1", [1005]),
        ("?min_snr=1e9", []),
        ("?min_snr=nonsense&page=0&sort=secret", range(1011, 999, -1)),
        ("?page=2", []),
    ],
)
def test_the_table_filters_and_sorts(pages, asked, expected):
    assert ids(pages.get(f"/alerts{asked}")) == list(expected)
    rows = pages.get(f"/alerts.json{asked}").json()["alerts"]
    assert [row["id"] for row in rows] == list(expected)


def test_alerts_without_the_value_sort_last_both_ways(pages):
    for sort in ("object", "-object"):
        found = ids(pages.get(f"/alerts?sort={sort}"))
        assert set(found[:4]) == {1000, 1001, 1002, 1003}


def test_the_packet_is_the_alert(pages, records):
    answer = pages.get(f"{ALERT}/packet.avro")

    assert 'filename="alert_1003.avro"' in answer.headers["content-disposition"]
    [found] = fastavro.reader(BytesIO(answer.content))
    assert found["diaSource"]["psfFlux"] == pytest.approx(1030.0)
    assert found["cutoutScience"] == records[3]["cutoutScience"]


def test_a_cutout_is_a_picture_pixel_for_pixel(pages):
    for scale in ("zscale", "minmax", "symmetric", "nonsense"):
        answer = pages.get(f"{ALERT}/science.png?scale={scale}")
        picture = imread(BytesIO(answer.content))
        assert picture.shape[:2] == (31, 31)
        # the pixel without data, at the lower left, is no shade of gray
        assert picture[-1, 0, 2] > picture[-1, 0, 0]


def test_the_values_of_a_cutout_are_those_of_the_image(pages):
    found = pages.get(f"{ALERT}/difference.json").json()

    assert (found["width"], found["height"]) == (31, 31)
    assert found["values"][0][0] is None
    peak = max(v for row in found["values"] for v in row if v is not None)
    assert peak == pytest.approx(30, abs=4)  # 4 sigma of the noise


def test_a_light_curve_has_the_fluxes_of_all_alerts_of_the_object(pages):
    text = pages.get(ALERT).text
    assert "4 fluxes" in text
    assert text.count("<title>r") + text.count("<title>g") == 4
    assert "names no DiaObject" in pages.get("/alerts/1011").text


def test_a_cutout_that_is_no_image_is_told_of(browse, hostile):
    pages = browse(hostile)

    assert "is no FITS image" in pages.get("/alerts/1000").text
    assert pages.get("/alerts/1000/science.png").status_code == 404
    assert pages.get("/alerts/1000/template.png").status_code == 200


def test_scale_and_zoom_are_those_of_the_address(pages):
    text = pages.get(f"{ALERT}?scale=minmax&zoom=12").text

    assert text.count("?scale=minmax") == 4
    assert text.count('width="372"') == 4


def test_the_status_is_json_without_nan(pages):
    status = json.loads(pages.get("/status.json").text, parse_constant=pytest.fail)

    assert status["n_reports"] == 8
    assert status["n_waiting"] == 1
