import pytest
from rich.console import Console

from streamdiff.cli.demo import clear_folder
from streamdiff.cli.progress import LINES_PER_PHASE, shown_progress
from streamdiff.errors import ConfigError


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    kept = tmp_path / "images" / "mine.fits"
    kept.parent.mkdir()
    kept.touch()
    with pytest.raises(ConfigError, match="no demo has made"):
        clear_folder(tmp_path)
    assert kept.exists()


def test_an_earlier_demo_is_replaced(tmp_path):
    out = tmp_path / "demo"
    clear_folder(out)
    (out / "images").mkdir()
    (out / "images" / "old.fits").touch()
    clear_folder(out)
    assert not (out / "images").exists()


def test_progress_is_told_in_a_few_lines_where_there_is_no_terminal(capsys):
    with shown_progress(Console(force_terminal=False)) as progress:
        progress.begin("visits", 100)
        for done in range(101):
            progress.advance("visits", done)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "visits: 100 of 100"
    assert len(lines) == LINES_PER_PHASE


def test_progress_is_a_bar_on_a_terminal(capsys):
    with shown_progress(Console(force_terminal=True, width=80)) as progress:
        progress.begin("visits", 2)
        progress.advance("visits", 1)
        progress.advance("visits", 2)
    told = capsys.readouterr().out
    assert "2/2" in told
    assert "/min" in told  # the rate
    assert "0:00:00" in told  # what remains


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_takes_its_time_is_told_in_a_line(is_terminal, capsys):
    console = Console(force_terminal=is_terminal, width=80)
    with shown_progress(console) as progress:
        progress.note("code is compiled")
    assert "code is compiled\n" in capsys.readouterr().out.replace("\r\n", "\n")
