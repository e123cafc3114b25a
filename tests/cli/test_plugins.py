import json

import pytest

from streamdiff import __version__


def test_the_list_is_a_table_of_all_kinds(run):
    end = run("plugins", "list")
    assert end.code == 0
    for word in ("subtract", "score_peaks", "lanczos", __version__):
        assert word in end.out
    assert not end.err


def test_the_list_for_programs_is_json(run):
    rows = json.loads(run("plugins", "list", "--json").out)
    (al,) = (r for r in rows if (r["kind"], r["name"]) == ("subtract", "al"))
    assert (al["distribution"], al["version"]) == ("streamdiff", __version__)
    assert rows == sorted(rows, key=lambda row: (row["kind"], row["name"]))


def test_a_plugin_is_shown_with_options_defaults_and_limits(run):
    end = run("plugins", "show", "lanczos")
    assert "[plugins.warp.lanczos]  # lanczos streamdiff" in end.out
    assert "order = 5  # int, >= 2, <= 5\n" in end.out
    assert "Zero crossings of the kernel on either side" in end.out
    assert "windowed sinc" in end.out


def test_plugins_of_one_name_are_all_shown_unless_a_kind_is_given(run):
    both = run("plugins", "show", "al").out
    assert "[plugins.subtract.al]" in both
    assert "[plugins.decorrelate.al]" in both
    one = run("plugins", "show", "al", "--kind", "subtract").out
    assert "[plugins.decorrelate.al]" not in one


def test_an_unknown_plugin_is_answered_with_those_that_there_are(run):
    end = run("plugins", "show", "hotpants")
    assert end.code == 2
    assert "'hotpants'; there are" in end.err
    assert "lanczos" in end.err


def test_a_plugin_is_described_for_programs(run):
    (told,) = json.loads(run("plugins", "show", "lanczos", "--json").out)
    assert told["protocol"] == "streamdiff.stages.Warper"
    (order,) = told["options"]
    assert (order["name"], order["default"], order["range"]) == (
        "order",
        "5",
        ">= 2, <= 5",
    )


def test_the_guide_of_a_kind_is_a_page(run):
    end = run("plugins", "guide", "warp")
    assert end.code == 0
    assert "class Warper(Protocol)" in end.out
    assert "def streamdiff_warpers" in end.out


def test_a_package_is_begun(run, tmp_path):
    end = run("plugins", "new", "measure", "mine", tmp_path / "mine")
    assert end.code == 0
    assert (tmp_path / "mine" / "pyproject.toml").exists()
    assert "streamdiff plugins check mine --kind measure" in end.out
    end = run("plugins", "new", "psf", "mine", tmp_path / "other", "--json")
    files = json.loads(end.out)["files"]
    assert str(tmp_path / "other" / "pyproject.toml") in files


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("check", "al"), "several kinds have a plugin 'al': give --kind"),
        (("check", "alm"), "there is no plugin 'alm'"),
        (("bench", "zogy", "--scenes", "easy"), "there is no easy; there are standard"),
        (("bench", "lanczos"), "plugins of kind 'warp' are not compared on images"),
        (("bench", "zogy", "--against", "hotpants"), "there is no plugin 'hotpants'"),
    ],
)
def test_what_can_not_be_checked_or_compared_is_an_error_of_one_line(
    run, arguments, told
):
    end = run("plugins", *arguments)
    assert end.code == 2
    assert told in end.err
    assert "Traceback" not in end.err


def test_event_decoders_are_listed_with_all(run):
    listed = [
        {
            (row["kind"], row["name"])
            for row in json.loads(run("plugins", "list", "--json", *more).out)
        }
        for more in ([], ["--all"])
    ]
    assert {kind for kind, _ in listed[1] - listed[0]} == {"decode"}
    assert ("decode", "next_visit") in listed[1] - listed[0]
