"""Visits with sources that are injected, to see how many are found."""

from dataclasses import replace

from small_stages import EVENT, pipeline, subtracted

from streamdiff.errors import SubtractionError
from streamdiff.model import Outcome
from streamdiff.pipeline.inject import Injection


def test_injected_sources_leave_the_alerts_as_they_are():
    plain = pipeline()(EVENT)
    result = replace(pipeline(), injection=Injection(n=3))(EVENT)
    assert [a.dia_source for a in result.alerts] == [a.dia_source for a in plain.alerts]
    assert result.recovery.x.size == result.metrics["n_injected"] == 3
    assert set(result.stage_seconds) == {*plain.stage_seconds, "inject"}
    assert plain.recovery is None


def test_visits_without_injected_sources_are_compared_once():
    never = Injection(fraction=0.0)
    result = replace(pipeline(), injection=never)(EVENT)
    assert result.recovery is None
    assert "n_injected" not in result.metrics


class OnlyOnce:
    """A subtractor that fails from the second time on."""

    calls = 0

    def subtract(self, science, template):
        self.calls += 1
        if self.calls > 1:
            raise SubtractionError("no more")
        return subtracted()


def test_a_failure_with_injected_sources_is_none_of_the_visit():
    injecting = replace(pipeline(subtract=OnlyOnce()), injection=Injection(n=3))
    result = injecting(EVENT)
    assert result.outcome is Outcome.PROCESSED
    assert len(result.alerts) == 1
    assert result.recovery is None
