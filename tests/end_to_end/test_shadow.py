"""A shadow: other plugins on the events of production, beside it."""

from pathlib import Path

from streamdiff.adapters.avro import wire
from streamdiff.app.alerts.comparison import compare
from streamdiff.app.alerts.reading import MemoryAlerts
from streamdiff.app.topics import Topics, topics_of
from streamdiff.config import load

DEPLOY = Path(__file__).parents[2] / "deploy"
PRODUCTION, SHADOW = Topics("streamdiff."), Topics("streamdiff.shadow.", "streamdiff.")


def sources(stream, topics):
    values = (record.value for record in stream.broker.records(topics.alerts(0, "")))
    return MemoryAlerts(records=[wire.decode(value)[1] for value in values])


def test_the_shipped_configuration_reads_production_and_writes_elsewhere():
    settings = load(DEPLOY / "shadow.toml", {})
    assert topics_of(settings) == SHADOW
    assert settings.stream.group != load(DEPLOY / "streamdiff.toml", {}).stream.group
    assert settings.stream.only == "visits"


def test_alerts_of_a_shadow_are_compared_with_those_of_production(new_stream, visit):
    stream = new_stream()
    stream.send(PRODUCTION.visit_ready, visit(event_id="both"))
    stream.run()
    shipped = load(DEPLOY / "shadow.toml", {})
    chosen = {"topic_prefix", "input_prefix", "group", "only"}
    shadow = shipped.stream.model_dump(include=chosen)
    stream.settings = stream.settings.model_copy(
        update={
            "stream": stream.settings.stream.model_copy(update=shadow),
            "pipeline": stream.settings.pipeline.model_copy(
                update={"subtract": shipped.pipeline.subtract}
            ),
        }
    )
    stream.run()
    assert stream.reports(SHADOW.visit_processed).keys() == {"both"}
    assert len(stream.reports(PRODUCTION.visit_processed)) == 1
    found = compare(sources(stream, PRODUCTION), sources(stream, SHADOW))
    # Two subtractors find the same three transients, with other numbers.
    assert found.counts.n_changed >= 3
    assert found.counts.n_identical == 0
