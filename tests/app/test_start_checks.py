import pytest

from streamdiff.adapters.avro import schemas
from streamdiff.adapters.embedded import EmbeddedBroker
from streamdiff.adapters.kafka import KafkaTransport
from streamdiff.app import start_checks
from streamdiff.app.environment import find_plugins
from streamdiff.app.start_checks import check_start, needed_topics
from streamdiff.config import from_tree
from streamdiff.errors import ConfigError, StoreUnavailableError


def settings(*, uri="memory://templates", find="score_peaks", prefix="s.", **stream):
    return from_tree(
        {
            "stream": {"topic_prefix": prefix, "http": "", **stream},
            "store": {"uri": uri},
            "pipeline": {"find": find},
        }
    )


@pytest.fixture
def problems(monkeypatch):
    """Return the lines that tell what is wrong."""
    monkeypatch.setattr("streamdiff.adapters.kafka.cluster._ANSWER_S", 1.0)

    def check(chosen, transport=None):
        try:
            check_start(chosen, find_plugins(), transport)
        except ConfigError as err:
            return str(err).splitlines()
        return []

    return check


def test_nothing_is_said_where_all_is_well(problems):
    with EmbeddedBroker({}) as broker:
        assert problems(settings(), broker.transport()) == []


def test_everything_that_is_wrong_is_told_in_a_line_each(problems, monkeypatch):
    def fail(_):
        raise LookupError("no such record")

    monkeypatch.setattr(schemas, "load", fail)
    monkeypatch.setattr(
        start_checks.wiring, "template_store", lambda _: UnavailableStore()
    )
    nobody = KafkaTransport(brokers="127.0.0.1:1", options={"log_level": 0})
    told = problems(settings(find="ai"), nobody)
    assert len(told) == 1 + len(schemas.MESSAGES) + 2
    plugin, schema, *_, store, brokers = told
    assert "'ai'" in plugin
    assert schema == "schema alert: no such record"
    assert store == "[store] uri = 'memory://templates': s3 is away"
    assert brokers.startswith("[stream] brokers = '127.0.0.1:1': ")


class UnavailableStore:
    def newest(self, template_id):
        raise StoreUnavailableError("s3 is away")


@pytest.mark.kafka
def test_topics_that_do_not_exist_are_named(problems, kafka):
    prefix = f"{kafka.new_name()}."
    chosen = settings(prefix=prefix, only="visits")
    kafka.create({f"{prefix}{name}": 1 for name in ("visit-ready", "alerts")})
    told = problems(chosen, kafka.transport())
    assert [line.partition(" does not exist")[0] for line in told] == [
        f"topic {prefix}dead-letter",
        f"topic {prefix}visit-processed",
    ]


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ("templates", {"template-update", "template-rebuilt", "dead-letter"}),
        ("visits", {"visit-ready", "visit-processed", "alerts", "dead-letter"}),
    ],
)
def test_only_topics_that_are_used_must_exist(only, names):
    assert {*needed_topics(settings(only=only, prefix=""))} == names


def associating(url, **stream):
    chosen = settings(**stream)
    pipeline = chosen.pipeline.model_copy(update={"associate": "nearest"})
    catalogue = chosen.catalogue.model_copy(update={"url": url})
    return chosen.model_copy(update={"pipeline": pipeline, "catalogue": catalogue})


@pytest.mark.parametrize(
    "url", ["sqlite:////no/such/folder/file.db", "postgresql://me:pw@127.0.0.1:1/name"]
)
def test_a_catalogue_that_does_not_answer_is_told_in_a_line(problems, url):
    (told,) = problems(associating(url))
    assert told.startswith("[catalogue] url: ")
    assert "pw" not in told
    assert problems(associating(url, only="templates")) == []


def test_the_tables_of_a_new_catalogue_are_made_at_start(problems, tmp_path):
    assert problems(associating(f"sqlite:///{tmp_path}/new.db")) == []
    assert (tmp_path / "new.db").stat().st_size


def test_a_url_that_is_none_is_told_once(problems):
    (told,) = problems(associating("nowhere"))
    assert told.startswith("[catalogue] url: ")
