"""Frames of a microlensing event in a crowded field, and what is known of them."""

from datetime import UTC, datetime

from streamdiff.model import VisitReady

FIRST_TEMPLATE_FRAME = 158
# An event must be found this close to its place [pixel].
RADIUS = 1.5
# The peak of a bright star [sigma].
BRIGHT_STAR = 50.0
MEGAPIXELS = 512**2 / 1e6
SECONDS_PER_DAY = 86400.0
TAI_MINUS_UTC_2013 = 35.0
CONFIG = """
[pipeline]
subtract = "{subtract}"
score = "features"
[stream]
transport = "embedded"
http = ""
[store]
uri = "{work}/templates"
skymap = {{ pixel_scale_arcsec = 0.31 }}
[input]
roots = ["{frames}"]
[output]
directory = "{out}"
differences = true
[plugins.read.fits]
instrument = "STE3"
band = "I"
[plugins.find.score_peaks]
background_box = 64
"""


def configured(folder, work, subtract):
    path = work / f"{subtract}.toml"
    path.write_text(
        CONFIG.format(
            subtract=subtract,
            work=work.as_uri(),
            frames=folder.as_uri(),
            out=work / "out",
        )
    )
    return path


def frame_path(folder, row):
    return folder / f"AKB13475I{row['frame']}.fits"


def is_template(row):
    return int(row["frame"]) >= FIRST_TEMPLATE_FRAME


def event_of(folder, row):
    middle_s = float(row["exptime"]) / 2 + TAI_MINUS_UTC_2013
    return VisitReady(
        event_id=f"STE3/{row['frame']}",
        instrument="STE3",
        visit=int(row["frame"]),
        # each frame a partition key of its own: their order does not matter
        detector=int(row["frame"]) % 8,
        band="I",
        midpoint_mjd_tai=float(row["mjd_start"]) + middle_s / SECONDS_PER_DAY,
        exposure_time_s=float(row["exptime"]),
        image_uri=frame_path(folder, row).as_uri(),
        published_at=datetime.now(UTC),
    )


def place(row):
    return float(row["event_x0"]), float(row["event_y0"])
