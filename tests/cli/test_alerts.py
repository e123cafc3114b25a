import json

import pytest

from streamdiff.adapters.avro import wire
from streamdiff.adapters.avro.alert import alert_record
from streamdiff.adapters.avro.container import write_alerts
from streamdiff.adapters.event_log import write_log
from streamdiff.model import Alert
from streamdiff.ports import ConsumedRecord


def alert(rank=0, *, visit=2026030500055, history=(), **columns):
    values = {
        "diaSourceId": (visit << 8 | 140) << 14 | rank,
        "visit": visit,
        "detector": 140,
        "band": "r",
        "midpointMjdTai": 61000.5,
        "ra": 150.0 + rank / 360,
        "dec": -2.0,
        "x": 50.0 * rank,
        "y": 20.0,
        "snr": 10.0 + rank,
        "psfFlux": 1000.0,
        "psfFluxErr": 100.0,
    }
    return alert_record(
        Alert(
            event_id="e",
            dia_source=values | columns,
            cutout_difference=None,
            cutout_science=None,
            cutout_template=None,
            prv_dia_sources=tuple(history),
        )
    )


@pytest.fixture
def stored(tmp_path):
    """Return a function: name and alerts -> the container that holds them."""

    def write(name, *records):
        path = tmp_path / f"{name}.avro"
        write_alerts(path, records)
        return path

    return write


@pytest.fixture
def usual(stored):
    return stored("usual", *(alert(rank) for rank in range(4)))


def test_the_same_alerts_are_exit_code_0(run, usual):
    end = run("alerts", "compare", usual, usual)
    assert end.code == 0
    assert end.out.endswith("The alerts are the same.\n")


def test_alerts_that_differ_are_exit_code_1_and_named(run, usual, stored):
    others = [alert(0), alert(1, psfFlux=1010.0), alert(2), alert(9)]
    end = run("alerts", "compare", usual, stored("others", *others))
    assert end.code == 1
    assert "psfFlux" in end.out
    assert "1.01" in end.out
    for record in (*others[1::2], alert(3)):
        assert str(record["diaSourceId"]) in end.out.replace("\n", "")
    assert "1 lost against 1 new has p = 1 (exact McNemar test)" in end.out
    assert max(map(len, end.out.splitlines())) < 100


def test_a_tolerance_makes_alerts_the_same(run, usual, stored):
    other = stored("other", *(alert(rank, psfFlux=1010.0) for rank in range(4)))
    assert run("alerts", "compare", usual, other).code == 1
    for tolerance in ("psfFlux=0.011rel", "psfFlux=10abs", "psfFlux=0.1sigma"):
        end = run("alerts", "compare", usual, other, "--tolerance", tolerance)
        assert end.code == 0
    assert run("alerts", "compare", usual, other, "--ignore", "psfFlux").code == 0


def test_positions_match_within_the_radius(run, usual, stored):
    moved = stored("moved", *(alert(r, dec=-2 + 2 / 3600) for r in range(4)))
    narrow = run("alerts", "compare", usual, moved, "--json")
    assert json.loads(narrow.out)["counts"]["lost"] == 4
    wide = run("alerts", "compare", usual, moved, "--json", "--radius-arcsec", "3")
    assert json.loads(wide.out)["counts"]["changed"] == 4


@pytest.mark.parametrize(
    "option",
    [
        ["--tolerance", "psfFlux"],
        ["--tolerance", "psfFlux=-1abs"],
        ["--tolerance", "psfFlux=nanrel"],
        ["--tolerance", "psfFlux=1percent"],
        ["--tolerance", "no_such_field=1abs"],
        ["--ignore", "no_such_field"],
        ["--radius-arcsec", "0"],
        ["--radius-arcsec", "wide"],
        ["--no-such-option"],
    ],
)
def test_a_call_that_can_not_be_meant_is_exit_code_2(run, usual, option):
    end = run("alerts", "compare", usual, usual, *option)
    assert end.code == 2
    assert end.err
    assert not end.out


def test_a_file_that_can_not_be_read_is_one_line(run, usual, tmp_path):
    end = run("alerts", "compare", usual, tmp_path / "none.avro")
    assert end.code == 1
    assert "none.avro: can not be read" in end.err
    assert len(end.err.splitlines()) == 1


def test_visits_of_one_side_are_told(run, usual, stored):
    other = stored("other", alert(visit=5))
    end = run("alerts", "compare", usual, other)
    assert end.code == 1
    assert "Only A has visit/detector 2026030500055/140: 4 alerts" in end.out
    assert "Only B has visit/detector 5/140: 1 alerts" in end.out


def test_pictures_are_written_where_they_are_wanted(run, usual, stored, tmp_path):
    folder = tmp_path / "pictures"
    other = stored("other", *(alert(rank) for rank in (0, 1, 2, 8)))
    end = run("alerts", "compare", usual, other, "--pictures", folder, "--json")
    assert json.loads(end.out)["pictures"] == [
        str(folder / "lost_001.png"),
        str(folder / "new_001.png"),
    ]
    assert all(path.stat().st_size for path in folder.iterdir())


def test_what_one_log_holds_on_two_topics_is_compared(run, tmp_path):
    """The alerts of a service and of its shadow, archived together."""
    path = tmp_path / "log.avro"
    messages = [
        ("streamdiff.alerts", alert(0)),
        ("shadow.alerts", alert(0, psfFlux=1.0)),
    ]
    write_log(
        path,
        [
            ConsumedRecord(
                topic=t, partition=0, offset=0, key=None, value=wire.encode("alert", r)
            )
            for t, r in messages
        ],
    )
    assert run("alerts", "compare", path, path).code == 2
    topics = ["--topic-a", "streamdiff.alerts", "--topic-b", "shadow.alerts"]
    end = run("alerts", "compare", path, path, *topics, "--json")
    (changed,) = json.loads(end.out)["changed"]
    assert changed["fields"] == ["diaSource.psfFlux"]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_list_fits_the_terminal(run, usual, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    end = run("alerts", "show", usual)
    assert end.code == 0
    lines = end.out.splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) == 6  # a heading, four alerts, and how many there are
    assert lines[-1] == "4 alerts"
    assert "2026030500055" in lines[1]
    assert ("diaSourceId" in lines[0]) == (width == 200)


def test_brackets_are_text(run, stored):
    a, b = (stored(n, alert(band=f"[/{n}]")) for n in ("a", "b"))
    assert "[/a]" in run("alerts", "show", a).out
    end = run("alerts", "compare", a, b)
    assert end.code == 1
    assert "[/a]" in end.out


def test_an_alert_without_significance_is_listed(run, stored):
    path = stored("some", alert(0, snr=None), alert(1))
    assert run("alerts", "show", path).out.endswith("2 alerts\n")
    end = run("alerts", "show", path, "--min-snr", "0.1")
    assert end.out.endswith("1 alerts\n")


def test_the_list_is_narrowed_down(run, stored):
    path = stored("some", alert(0), alert(5), alert(6), alert(visit=9))
    end = run("alerts", "show", path, "--visit", "2026030500055", "--min-snr", "12")
    assert end.out.splitlines()[-1] == "2 alerts"
    end = run("alerts", "show", path, "--limit", "1")
    assert end.out.splitlines()[-1] == "1 of 4 alerts"
    end = run("alerts", "show", path, "--detector", "3")
    assert end.out.splitlines()[-1] == "0 alerts"


def test_the_list_is_json_for_programs(run, usual, tmp_path):
    shown = json.loads(run("alerts", "show", usual, "--json", "--limit", "3").out)
    assert [record["diaSource"]["snr"] for record in shown] == [10, 11, 12]
    assert not any(name.startswith("cutout") and r[name] for r in shown for name in r)
    assert json.loads(run("alerts", "show", usual, "--json", "--visit", "1").out) == []


def test_a_report_is_written(run, usual, tmp_path):
    page = tmp_path / "report.html"
    end = run("alerts", "report", usual, "-o", page, "--min-snr", "12")
    assert end.code == 0
    assert end.out == f"{page}: 2 alerts\n"
    assert "2 of 2 alerts" in page.read_text()


def test_one_alert_is_shown_in_full(run, stored, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    records = [alert(0), alert(1, dipole_flag=True, trailLength=2.5, diaObjectId=7)]
    path = stored("some", *records)
    end = run("alerts", "show", path, "--id", records[1]["diaSourceId"])
    assert end.code == 0
    lines = [line.split() for line in end.out.splitlines()]
    assert ["psfFlux", "1000", "100", "nJy"] in lines
    assert ["trailLength", "2.5", "arcsec"] in lines
    assert ["flags:", "dipole_flag"] in lines
    assert ["science", "template", "difference"] in lines
    assert str(records[0]["diaSourceId"]) not in end.out
    assert max(map(len, end.out.splitlines())) <= 80


def test_the_light_curve_of_an_object_is_shown(run, stored):
    earlier = alert(3, psfFlux=812.0)["diaSource"] | {"midpointMjdTai": 60990.25}
    records = [alert(0), alert(1, diaObjectId=7, history=[earlier]), alert(2)]
    end = run("alerts", "show", stored("some", *records), "--object", 7)
    assert end.code == 0
    lines = [line.split() for line in end.out.splitlines()]
    assert lines[0] == ["DiaObject", "7:", "1", "alerts,", "2", "fluxes"]
    assert ["60990.250000", "r", "812", "100"] in lines
    assert ["61000.500000", "r", "1000", "100"] in lines
    assert "capitals: detected" in end.out


@pytest.mark.parametrize("option", ["--id", "--object"])
def test_what_is_not_there_is_told(run, usual, option):
    end = run("alerts", "show", usual, option, "12345")
    assert end.code == 1
    assert "12345" in end.err
    assert not end.out


def test_a_report_on_one_object_has_its_alerts_only(run, stored, tmp_path):
    path = stored("some", alert(0), alert(1, diaObjectId=7), alert(2, diaObjectId=8))
    page = tmp_path / "report.html"
    end = run("alerts", "report", path, "-o", page, "--object", 7, "--json")
    assert json.loads(end.out) == {"output": str(page), "n_alerts": 1}
