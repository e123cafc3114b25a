"""A microlensing event in real frames of a crowded field (frames of one telescope).

The template is coadded from frames after the event; every other frame is a visit.
"""

import csv
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

from streamdiff.adapters.embedded import EmbeddedBroker
from streamdiff.adapters.fits.coadd import decode_coadd
from streamdiff.app.demo.collector import Collector
from streamdiff.app.demo.run import running_service, send_events
from streamdiff.app.environment import find_plugins, read_settings
from streamdiff.app.service import embedded_partitions
from streamdiff.app.topics import Topics
from streamdiff.app.wiring import sky_map, template_store
from streamdiff.cli.program import program
from streamdiff.model import Outcome, TemplateId, VisitReady

pytestmark = [pytest.mark.frames, pytest.mark.timeout(900)]

FLUX = "event_flux_adu_rel_0100_minus_aug4+"
FIRST_TEMPLATE_FRAME = 158
# An event of this flux [ADU] must be found, this close to its place [pixel].
BRIGHT, RADIUS = 5000.0, 1.5
# What a crowded field may claim beside the event.
MAX_FALSE_PER_MPX = 200.0
MEGAPIXELS = 512**2 / 1e6
SECONDS_PER_DAY = 86400.0
TAI_MINUS_UTC_2013 = 35.0

CONFIG = """
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


@pytest.fixture(scope="module")
def folder(shared_data):
    return shared_data / "saao_moa2013blg475"


@pytest.fixture(scope="module")
def table(folder):
    with (folder / "frames.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("saao")


@pytest.fixture(scope="module")
def settings(folder, work):
    path = work / "saao.toml"
    path.write_text(
        CONFIG.format(work=work.as_uri(), frames=folder.as_uri(), out=work / "out")
    )
    return read_settings(path)


def frame_path(folder, row):
    return folder / f"AKB13475I{row['frame']}.fits"


def is_template(row):
    return int(row["frame"]) >= FIRST_TEMPLATE_FRAME


@pytest.fixture(scope="module")
def template(folder, table, work, settings):
    """Coadd the frames after the event on the command line, and store the result."""
    output = work / "template.fits"
    paths = [str(frame_path(folder, row)) for row in table if is_template(row)]
    arguments = ["coadd", *paths, "-o", str(output), "--band", "I"]
    made = CliRunner().invoke(
        program, [*arguments, "-c", str(work / "saao.toml")], catch_exceptions=False
    )
    assert made.exit_code == 0, made.output
    coadd = decode_coadd(output.read_bytes())
    exposure = coadd.exposure
    tract, patch = sky_map(settings).patches_touching(exposure.wcs, exposure.shape)[0]
    template_id = TemplateId(tract=tract, patch=patch, band="I")
    template_store(settings).save(
        replace(coadd, exposure=replace(exposure, id=template_id)), []
    )
    return coadd


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


@pytest.fixture(scope="module")
def results(folder, table, settings, template):
    """Publish every other frame on the embedded broker, and read what comes."""
    topics = Topics(settings.stream.topic_prefix)
    visits = [event_of(folder, row) for row in table if not is_template(row)]
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker(embedded_partitions(settings)))
        read = stack.enter_context(Collector(broker.transport(), [topics]))
        stack.enter_context(
            running_service(
                settings,
                find_plugins(),
                broker.transport(),
                read,
            )
        )
        send_events(broker.transport(), topics.visit_ready, visits)
        read.wait_for(
            lambda: len(read.visits) == len(visits), timeout_s=600, what="visits"
        )
        n_alerts = sum(report.n_alerts for report in read.visits)
        read.wait_for(lambda: len(read.alerts) == n_alerts, timeout_s=60, what="alerts")
    return read


@pytest.fixture(scope="module")
def light_curve(table, results):
    """Return frame, expected flux, and the nearest alert's distance and flux."""
    rows = []
    for row in table:
        if is_template(row) or not row[FLUX]:
            continue
        x, y = float(row["event_x0"]), float(row["event_y0"])
        sources = [
            alert["diaSource"]
            for alert in results.alerts
            if alert["diaSource"]["visit"] == int(row["frame"])
        ]
        offset, flux = min(
            (np.hypot(s["x"] - x, s["y"] - y), s["psfFlux"]) for s in sources
        )
        rows.append((int(row["frame"]), float(row[FLUX]), offset, flux))
    return np.array(rows)


def test_every_frame_is_processed(results, table):
    assert len(results.visits) == sum(not is_template(row) for row in table)
    assert {report.outcome for report in results.visits} == {Outcome.PROCESSED}
    assert not results.dead_letters


def test_the_event_is_found_wherever_it_is_bright(light_curve):
    bright = light_curve[light_curve[:, 1] > BRIGHT]
    assert len(bright) >= 15
    missed = bright[bright[:, 2] > RADIUS, 0]
    assert not missed.size, f"frames without an alert on the event: {missed}"


def test_the_light_curve_is_proportional_to_careful_photometry(light_curve, work):
    bright = light_curve[light_curve[:, 1] > BRIGHT]
    ratio = bright[:, 3] / bright[:, 1]
    middle = np.median(ratio)
    scatter = 1.4826 * np.median(np.abs(ratio / middle - 1))
    draw(bright, middle, work / "light_curve.png")
    # the column itself is good to 5-10 %
    assert scatter <= 0.10


def draw(rows, factor, path):
    figure = Figure(figsize=(6, 5))
    axes = figure.subplots()
    axes.plot(rows[:, 1], rows[:, 3], "o")
    limits = np.array([0, rows[:, 1].max()])
    axes.plot(limits, factor * limits)
    axes.set_xlabel("reference flux [ADU]")
    axes.set_ylabel("alert flux on the template's scale [ADU]")
    figure.savefig(path)


def test_few_alerts_are_false(results, light_curve, work):
    found = set(light_curve[light_curve[:, 2] <= RADIUS, 0])
    n_false = {
        report.visit: report.n_alerts - (report.visit in found)
        for report in results.visits
    }
    rows = [f"{frame},{n}\n" for frame, n in sorted(n_false.items())]
    (work / "false_alerts.csv").write_text("".join(["frame,alerts\n", *rows]))
    # Real variables, borders of detectors, and rows that saturated stars bled into.
    per_mpx = sum(n_false.values()) / (len(n_false) * MEGAPIXELS)
    assert per_mpx <= MAX_FALSE_PER_MPX
