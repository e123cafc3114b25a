"""Packages of somebody else, installed as their users would: checked and compared."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from streamdiff.adapters.fits.exposure import encode_exposure
from streamdiff.app.observers import Observers
from streamdiff.model import Outcome, Reason, VisitProcessed
from streamdiff.plugins import discover
from streamdiff.testing.contract import Subject, Verdict, event_of
from streamdiff.testing.contract import run as run_suite
from streamdiff.testing.ladder import LADDER

FOLDER = Path(__file__).parents[1] / "third_party"
PROGRAM = Path(sys.executable).with_name("streamdiff")


def run(*arguments, site=None):
    return subprocess.run(  # noqa: S603 - the program under test
        [PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | ({"PYTHONPATH": str(site)} if site else {}),
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return a folder with the packages, and one that was just begun."""
    folder = tmp_path_factory.mktemp("outside")
    done = run("plugins", "new", "subtract", "begun", folder / "begun")
    assert done.returncode == 0, done.stderr
    projects = [folder / "begun"]
    projects += [FOLDER / name for name in ("bramich", "bad_subtractors")]
    subprocess.run(  # noqa: S603 - pip of this environment
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-index"),
            *("--no-build-isolation", "--no-deps", "--target", folder / "site"),
            *("--disable-pip-version-check", *projects),
        ],
        check=True,
        timeout=120,
    )
    return folder / "site"


def test_an_outside_plugin_keeps_the_contract_and_tells_what_it_costs(site):
    done = run("plugins", "check", "bramich", "--json", site=site)
    told = json.loads(done.stdout)
    assert [c for c in told["checks"] if c["verdict"] == "broken"] == []
    assert done.returncode == 0
    assert told["distribution"] == "streamdiff-bramich"
    (costs,) = (c["figures"] for c in told["checks"] if c["check"] == "costs")
    assert costs["fft_units"] > 0
    # the difference alone has an image, a variance and a mask
    assert costs["memory_planes"] > 2


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("hangs", "no end: it hangs, or is slow; --timeout-s waits longer"),
        ("ends_its_process", "no end: the process ended with exit code 3"),
    ],
)
def test_a_plugin_that_does_not_come_back_is_told(site, name, got):
    done = run("plugins", "check", name, "--timeout-s", 3, site=site)
    assert done.returncode == 1
    assert got in done.stdout
    assert "not checked, since the process was lost" in done.stdout


def test_two_plugins_are_compared_on_scenes_and_on_exposures(site, tmp_path):
    observed = LADDER["standard"].observe(size=256, seed=3)
    paths = tmp_path / "science.fits", tmp_path / "template.fits"
    paths[0].write_bytes(encode_exposure(observed.science))
    paths[1].write_bytes(encode_exposure(observed.template))
    page = tmp_path / "verdict.html"
    done = run(
        *("plugins", "bench", "bramich", "--against", "begun", "--json"),
        *("--scenes", "standard", "--size", 384, "--pair", *paths, "-o", page),
        site=site,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [(e["images"], e["plugin"]) for e in told["entries"]] == [
        ("standard", "bramich"),
        ("standard", "begun"),
        ("science.fits", "bramich"),
        ("science.fits", "begun"),
    ]
    figures = told["entries"][0]["figures"]
    # 384 x 384 px: blank sky is some 3e4 of them, which know it to 0.4 %
    assert figures["noise_ratio"] == pytest.approx(1, abs=0.02)
    assert figures["depth"] > 0.9
    assert "memory_planes" in figures
    verdict = {row["figure"]: row["verdict"] for row in told["verdict"]}
    # stars of different seeing stay where the PSFs are not matched
    assert verdict["chi_star"] == "better"
    assert verdict["fft_units"] == "worse"
    text = page.read_text()
    assert text.count("<img") == 2
    assert "bramich" in text


def test_an_outside_source_finder_keeps_the_contract(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER / "sep_peaks" / "src")
    name = "streamdiff_sep_peaks"
    point = EntryPoint(name=name, value=name, group="streamdiff")
    plugin = discover(found=[point]).get("find", "sep_peaks")
    results = list(run_suite(Subject(plugin=plugin)))
    sys.modules.pop(name)
    assert [str(r.error) for r in results if r.verdict is Verdict.BROKEN] == []


def test_an_observer_writes_a_line_for_each_visit(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(FOLDER / "visits_csv" / "src")
    monkeypatch.setenv("STREAMDIFF_VISITS_CSV", str(tmp_path / "visits.csv"))
    name = "streamdiff_visits_csv"
    registry = discover(found=[EntryPoint(name=name, value=name, group="streamdiff")])
    assert not registry.broken
    observers = Observers(registry.manager)
    event = event_of("memory://a")
    facts = {"event_id": "event", "instrument": "SimCam", "visit": 7, "detector": 0}
    facts |= {"band": "r", "finished_at": datetime(2026, 11, 20, tzinfo=UTC)}
    good = VisitProcessed(
        **facts, outcome=Outcome.PROCESSED, n_alerts=3, stage_seconds={"find": 0.25}
    )
    bad = VisitProcessed(**facts, outcome=Outcome.FAILED, reason=Reason.PLUGIN_ERROR)
    observers.visit_ended(event, good)
    observers.visit_ended(event, bad)
    sys.modules.pop(name)
    assert (tmp_path / "visits.csv").read_text().splitlines() == [
        "event_id,visit,detector,outcome,reason,n_alerts,seconds",
        "event,7,0,processed,,3,0.250",
        "event,7,0,failed,plugin_error,0,0.000",
    ]
