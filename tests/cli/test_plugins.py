import json

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
