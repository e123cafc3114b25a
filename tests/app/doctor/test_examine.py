"""Broken installations: each is named, with what puts it right."""

import shutil
import sys
from importlib import metadata
from types import SimpleNamespace

import pytest

from streamdiff.adapters.avro import schemas
from streamdiff.adapters.embedded import EmbeddedBroker
from streamdiff.app.doctor.examine import examine
from streamdiff.app.environment import find_plugins
from streamdiff.plugins import BrokenPlugin, Origin, Registry

REGISTRY = find_plugins()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr("streamdiff.adapters.kafka.cluster._ANSWER_S", 1.0)


@pytest.fixture
def configure(tmp_path):
    """Write a configuration without brokers and return its path.

    Keys with dots replace, or add to, what is in it.
    """

    def write(**changes):
        values = {
            "stream.transport": "embedded",
            "store.uri": (tmp_path / "templates").as_uri(),
            "input.roots": [tmp_path.as_uri()],
            "output.directory": str(tmp_path / "results"),
        } | {key.replace("__", "."): value for key, value in changes.items()}
        path = tmp_path / "streamdiff.toml"
        lines = (f"{key} = {toml(value)}" for key, value in values.items())
        path.write_text("\n".join(lines))
        return path

    return write


def toml(value):
    return str(value) if isinstance(value, list) else repr(value)


@pytest.fixture
def problems():
    """Return a function: a configuration -> the problems that are found."""

    def find(path=None, registry=REGISTRY):
        return [finding for finding in examine(path, registry) if finding.fix]

    return find


def only(found):
    [problem] = found
    return f"{problem.check} {problem.subject}: {problem.detail}", problem.fix


def test_a_whole_installation_has_no_problem(problems, configure):
    assert problems(configure()) == []


def test_without_a_configuration_the_program_is_looked_at(problems):
    assert problems() == []
    checks = {finding.check for finding in examine(None, REGISTRY)}
    assert {"python", "package", "plugins", "schema"} <= checks


def test_brokers_and_topics_that_are_there_are_well(problems, configure):
    with EmbeddedBroker({}) as broker:
        path = configure(stream__transport="kafka", stream__brokers=broker.bootstrap)
        assert problems(path) == []


def test_no_broker(problems, configure):
    path = configure(stream__transport="kafka", stream__brokers="127.0.0.1:1")

    told, fix = only(problems(path))

    assert told == "brokers 127.0.0.1:1: " + told.partition(": ")[2]
    assert "no broker answers" in told
    assert "start the brokers" in fix


@pytest.mark.kafka
def test_a_wrong_password(problems, configure, own_kafka):
    settings = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "streamdiff",
        "sasl.password": "a guess",
        "ssl.ca.location": str(own_kafka.authority),
    }
    inline = ", ".join(f"{key!r} = {value!r}" for key, value in settings.items())
    path = configure(
        stream__transport="kafka", stream__brokers=own_kafka.broker.address("SECURED")
    )
    path.write_text(f"{path.read_text()}\nstream.kafka = {{ {inline} }}")

    told, fix = only(problems(path))

    assert "uthentication" in told
    assert "sasl.password_file" in fix


@pytest.mark.kafka
def test_a_missing_topic(problems, configure, kafka):
    prefix = f"{kafka.new_name()}."
    there = ("template-update", "dead-letter", "visit-processed", "template-rebuilt")
    kafka.create({f"{prefix}{name}": 1 for name in (*there, "alerts")})
    path = configure(
        stream__transport="kafka",
        stream__brokers=kafka.bootstrap,
        stream__topic_prefix=prefix,
    )

    told, fix = only(problems(path))

    assert told.startswith(f"topic {prefix}visit-ready: ")
    assert f"--create --topic {prefix}visit-ready" in fix


def test_an_option_that_librdkafka_refuses(problems, configure):
    path = configure(
        stream__transport="kafka",
        stream__brokers="127.0.0.1:1",
        stream__kafka={"no.such.key": 1},
    )
    path.write_text(path.read_text().replace("{'no.such.key': 1}", '{"no.such.key"=1}'))

    told, fix = only(problems(path))

    assert "no.such.key" in told
    assert "[stream.kafka]" in fix


def test_a_secret_that_can_not_be_read(problems, tmp_path):
    path = tmp_path / "streamdiff.toml"
    path.write_text("[stream.kafka]\n'sasl.password_file' = '/nowhere/password'")

    told, fix = only(problems(path))

    assert "/nowhere/password" in told
    assert fix


def test_a_store_that_can_not_be_read(problems, configure, tmp_path):
    (tmp_path / "templates").write_text("a file")

    told, fix = only(problems(configure()))

    assert "templates is a file" in told
    assert "[store] uri" in fix


def test_a_store_without_its_client(problems, configure, monkeypatch):
    hide(monkeypatch, "s3fs")
    found = problems(configure(store__uri="s3://bucket/templates"))

    told = f"{found[0].subject} {found[0].detail}"
    assert told == "s3fs is not installed, streamdiff[s3] needs it"
    assert found[0].fix == "pip install 'streamdiff[s3]'"


def test_a_broken_plugin(problems):
    origin = Origin(distribution="theirs", version="2.1", entry_point="theirs")
    broken = BrokenPlugin(origin=origin, error="no module foo", traceback="...")
    registry = Registry(
        plugins=REGISTRY.plugins, broken=(broken,), manager=REGISTRY.manager
    )

    told, fix = only(problems(registry=registry))

    assert told == "plugins theirs 2.1: theirs: no module foo"
    assert "pip install --upgrade theirs" in fix
    assert "STREAMDIFF_DISABLE_PLUGINS=theirs" in fix


def test_a_plugin_that_is_not_there(problems, configure):
    told, fix = only(problems(configure(pipeline__subtract="ai")))

    assert "did you mean 'al'" in told
    assert "config example" in fix


def test_an_old_schema(problems, monkeypatch):
    current = schemas.load

    def older(record, version=None):
        schema = current(record, version)
        kept = [f for f in schema["fields"] if f["name"] != "catalogue_uri"]
        return schema | {"fields": kept}

    monkeypatch.setattr(schemas, "load", older)

    told, fix = only(problems())

    assert told == "schema visitReady: has no catalogue_uri: it is of an older release"
    assert "pip install --force-reinstall streamdiff==" in fix


def test_missing_schemas(problems, monkeypatch):
    def fail(record):
        raise LookupError(f"there is no {record}")

    monkeypatch.setattr(schemas, "load", fail)

    assert len(problems()) == len(schemas.MESSAGES)


def test_a_full_disk(problems, configure, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1))

    found = problems(configure())

    assert {p.check for p in found} >= {"temporary files", "store", "output"}
    assert all("0.0 GiB are free" in p.detail for p in found)
    assert all("make room" in p.fix for p in found)


def test_a_folder_that_can_not_be_written_to(problems, configure):
    # /proc takes files of nobody, not even of root
    told, fix = only(problems(configure(output__directory="/proc/results")))

    assert "can not be written to" in told
    assert "[output] directory" in fix


def test_a_catalogue_that_is_no_database(problems, configure, tmp_path):
    (tmp_path / "catalogue.db").write_text("no database, but longer than its header")
    path = configure(
        pipeline__associate="nearest",
        catalogue__url=f"sqlite:///{tmp_path / 'catalogue.db'}",
    )

    told, fix = only(problems(path))

    assert "file is not a database" in told
    assert "[catalogue] url" in fix


def test_a_catalogue_that_is_to_be_made_is_well(problems, configure, tmp_path):
    url = f"sqlite:///{tmp_path / 'catalogue.db'}"
    path = configure(pipeline__associate="nearest", catalogue__url=url)

    assert problems(path) == []
    assert not (tmp_path / "catalogue.db").exists()


def test_images_that_are_not_there(problems, configure):
    told, fix = only(problems(configure(input__roots=["file:///nowhere"])))

    assert told == "images file:///nowhere: is no folder that can be read"
    assert "[input] roots" in fix


def test_no_folder_of_images_at_all(problems, configure):
    told, fix = only(problems(configure(input__roots=[])))

    assert "every image is refused" in told
    assert "roots = " in fix


def test_a_configuration_that_is_not_there(problems, tmp_path):
    told, fix = only(problems(tmp_path / "missing.toml"))

    assert "missing.toml" in told
    assert "config example" in fix


def test_a_missing_package(problems, monkeypatch):
    hide(monkeypatch, "scipy")

    told, fix = only(problems())

    assert "scipy: is not installed" in told
    assert fix == "pip install 'streamdiff'"


def test_an_old_package(problems, monkeypatch):
    known = metadata.version
    monkeypatch.setattr(
        metadata, "version", lambda name: "0.1" if name == "fastavro" else known(name)
    )

    told, fix = only(problems())

    assert "fastavro: 0.1, not >=" in told
    assert "pip install --upgrade 'fastavro" in fix


def test_an_old_python(problems, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))

    told, fix = only(problems())

    assert told.startswith("python ")
    assert "Python 3.11" in fix


def hide(monkeypatch, package):
    known = metadata.version

    def version(name):
        if name == package:
            raise metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(metadata, "version", version)
