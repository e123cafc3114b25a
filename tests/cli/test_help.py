import pytest

from streamdiff.cli.help import TOPICS
from streamdiff.model import Reason


def test_every_topic_is_named_and_explained(run):
    overview = run("help").out
    for name, (text, _) in TOPICS.items():
        assert name in overview
        assert text in overview
        end = run("help", name)
        assert end.code == 0
        assert len(end.out.splitlines()) > 3


def test_all_reasons_are_told_with_their_outcome(run):
    told = dict(line.split() for line in run("help", "reasons").out.splitlines()[3:])
    assert told == {reason.value: reason.outcome.value for reason in Reason}


@pytest.mark.parametrize("words", [["doctor"], ["config", "check"]])
def test_a_command_is_explained_as_by_itself(run, words):
    assert run("help", *words).out == run(*words, "--help").out


def test_what_there_is_not_is_refused(run):
    end = run("help", "nonsense")
    assert end.code == 2
    assert "topics are" in end.err
