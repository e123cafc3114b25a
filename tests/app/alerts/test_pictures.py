"""Triplets as pictures, on sheets and on the page of a report."""

import gzip
import re
from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from astropy.io import fits
from matplotlib.image import imread

from streamdiff.app.alerts.comparison import compare
from streamdiff.app.alerts.reading import AlertFiles
from streamdiff.app.alerts.report import write_report
from streamdiff.app.alerts.sheets import PER_PAGE, write_sheets
from streamdiff.app.alerts.triplets import Triplet, decode_cutout
from streamdiff.errors import UnreadableImageError


def test_a_triplet_has_the_pixels_of_the_cutouts(alert):
    record = alert()
    triplet = Triplet.of(record)
    for name in ("science", "template", "difference"):
        with fits.open(BytesIO(record[f"cutout{name.title()}"])) as hdus:
            assert (getattr(triplet, name) == hdus[0].data).all()


def test_compressed_cutouts_are_the_same_picture(alert):
    record = alert()
    packed = {
        name: gzip.compress(value)
        for name, value in record.items()
        if isinstance(value, bytes)
    }
    assert len(packed) == 3
    assert Triplet.of(record | packed).png() == Triplet.of(record).png()


def test_a_star_is_bright_in_its_picture(alert):
    picture = imread(BytesIO(Triplet.of(alert()).png()))[..., 0]
    height = len(picture)
    for panel in range(3):
        middle = picture[height // 2, (2 * panel + 1) * height // 2]
        assert middle > np.median(picture)


def test_a_cutout_that_is_missing_is_a_blank_panel(alert):
    record = alert() | {"cutoutTemplate": None}
    triplet = Triplet.of(record)
    assert np.isnan(triplet.template).all()
    assert triplet.template.shape == triplet.science.shape
    assert triplet.png().startswith(b"\x89PNG")


def test_cutouts_of_several_sizes_are_one_picture(alert):
    record = alert()
    with fits.open(BytesIO(record["cutoutScience"])) as hdus:
        buffer = BytesIO()
        fits.HDUList([fits.PrimaryHDU(hdus[0].data[:21, :21])]).writeto(buffer)
    assert Triplet.of(record | {"cutoutScience": buffer.getvalue()}).png()


@pytest.mark.parametrize(
    "content", [b"no FITS at all", b"SIMPLE  =    T", b"\x1f\x8b no gzip"]
)
def test_a_damaged_cutout_is_an_error(content):
    with pytest.raises(UnreadableImageError, match="no FITS image"):
        decode_cutout(content)


def test_sheets_show_what_was_lost_and_is_new(alert, container, tmp_path):
    n_lost = PER_PAGE + 1
    a = container(tmp_path / "a.avro", [alert(rank) for rank in range(n_lost)])
    b = container(tmp_path / "b.avro", [alert(rank) for rank in (50, 51)])
    sources = AlertFiles(paths=(a,)), AlertFiles(paths=(b,))
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "lost_009.png").touch()
    (folder / "mine.png").touch()
    sheets = write_sheets(folder, compare(*sources), *sources)
    assert [path.name for path in sheets] == [
        "lost_001.png",
        "lost_002.png",
        "new_001.png",
    ]
    assert {path.name for path in folder.iterdir()} == {
        "mine.png",
        *(path.name for path in sheets),
    }
    first, second, _ = (imread(path) for path in sheets)
    assert first.shape[0] > 2 * second.shape[0]
    assert first.std() > 0.05


def test_the_same_sheet_has_the_same_bytes(alert, side, tmp_path):
    sources = side(alert(0)), side(alert(5))
    found = compare(*sources)
    contents = [
        [path.read_bytes() for path in write_sheets(tmp_path / name, found, *sources)]
        for name in ("1", "2")
    ]
    assert contents[0] == contents[1]


def earlier(record, visit, flux, **fields):
    return {
        **record["diaSource"],
        "diaSourceId": visit,
        "visit": visit,
        "midpointMjdTai": 61000.0 + visit,
        "psfFlux": flux,
        **fields,
    }


@pytest.fixture
def with_history(alert):
    """An alert of a DiaObject with two earlier detections and a forced flux."""
    record = alert(0, visit=9, diaObjectId=77)
    forced = {
        "diaForcedSourceId": 5,
        "midpointMjdTai": 61002.0,
        "psfFlux": -3.0,
        "psfFluxErr": 1.0,
        "band": "r",
    }
    return record | {
        "prvDiaSources": [earlier(record, 1, 10.0), earlier(record, 2, 20.0)],
        "prvDiaForcedSources": [forced],
    }


def test_the_page_holds_pictures_measurements_and_light_curves(
    with_history, alert, tmp_path
):
    page = tmp_path / "report.html"
    lone = alert(3, visit=9, isDipole=True, diaObjectId=78)
    assert write_report(page, [with_history, lone], limit=10) == 2
    text = page.read_text()
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    assert len(pictures) == 2
    assert text.count('<svg class="curve"') == 1
    assert text.count('class="band-r forced"') == 2  # the flux, and the legend
    assert all(b64decode(p).startswith(b"\x89PNG") for p in pictures)
    assert "<td>psfFlux</td><td>1030</td><td>&plusmn; 100</td><td>nJy</td>" in text
    assert "isDipole" in text
    assert "DiaObject 77, 4 fluxes" in text
    assert '"#object-78"' not in text  # one flux is no curve, nor a place to go to
    assert "http" not in text.replace("http-equiv", "")


def test_the_page_shows_no_more_than_the_limit_but_all_fluxes(
    with_history, alert, tmp_path
):
    page = tmp_path / "report.html"
    later = [alert(0, visit=visit, diaObjectId=77) for visit in (10, 11)]
    assert write_report(page, [with_history, *later], limit=1) == 1
    text = page.read_text()
    assert "1 of 3 alerts" in text
    assert "DiaObject 77, 6 fluxes" in text


def test_text_of_an_alert_is_escaped(alert, tmp_path):
    page = tmp_path / "report.html"
    write_report(page, [alert(band="<script>")], limit=1)
    assert "<script>" not in page.read_text()


def test_no_alerts_are_a_page_too(tmp_path):
    page = tmp_path / "report.html"
    assert write_report(page, [], limit=1) == 0
    assert "0 of 0 alerts" in page.read_text()
