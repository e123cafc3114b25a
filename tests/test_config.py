import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdiff.config import Settings, from_tree, load
from streamdiff.errors import ConfigError


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "streamdiff.toml"
        path.write_text(text)
        return path

    return write


def test_every_key_has_a_default():
    assert load(environment={}) == Settings()


def test_a_file_overrides_defaults_and_the_environment_the_file(written):
    path = written('[stream]\ngroup = "mine"\nworkers = 3\n')
    settings = load(path, {"STREAMDIFF__STREAM__WORKERS": "5"})
    assert (settings.stream.group, settings.stream.workers) == ("mine", 5)


@pytest.mark.parametrize(
    ("text", "value"), [("host:9092", "host:9092"), ('"a b"', "a b")]
)
def test_text_in_the_environment_needs_no_quotes(text, value):
    settings = load(environment={"STREAMDIFF__STREAM__BROKERS": text})
    assert settings.stream.brokers == value


def test_options_of_plugins_come_from_the_environment_too():
    name = "STREAMDIFF__PLUGINS__SUBTRACT__AL__KERNEL_ORDER"
    assert load(environment={name: "2"}).options("subtract", "al") == {
        "kernel_order": 2
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[stream]\nworker = 2", "stream.worker: there is no such key"),
        ("[stream]\nworkers = 0", "stream.workers: .*got 0"),
        ("[stream]\ndelivery = 'maybe'", "stream.delivery"),
        ("[plugins.subtrct.al]\norder = 1", "subtrct"),
        ("[stream", "no TOML"),
    ],
)
def test_a_bad_file_is_refused_with_its_name_key_and_value(written, text, message):
    with pytest.raises(ConfigError, match=f"streamdiff.toml: .*{message}"):
        load(written(text), {})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: can not be read"):
        load(tmp_path / "none.toml", {})


def test_a_secret_is_read_from_its_file(tmp_path):
    (tmp_path / "password").write_text("s3cret\n")
    tree = {"stream": {"kafka": {"sasl.password_file": str(tmp_path / "password")}}}
    settings = from_tree(tree)
    assert settings.stream.kafka == {"sasl.password": "s3cret"}
    assert "s3cret" not in f"{settings} {settings!r} {settings.stream!r}"


def test_a_secret_that_can_not_be_read_is_named(tmp_path):
    tree = {"stream": {"kafka": {"sasl.password_file": str(tmp_path / "none")}}}
    with pytest.raises(ConfigError, match=r"sasl\.password_file"):
        from_tree(tree)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"store": {"uri": "file:///t"}}, "brokers: required"),
        ({"stream": {"brokers": "b:1"}}, "uri: required"),
    ],
)
def test_a_service_needs_brokers_and_a_store(tree, message):
    with pytest.raises(ConfigError, match=message):
        from_tree(tree).require_service()


def test_the_hash_changes_with_options_but_not_with_the_brokers():
    options = {"plugins": {"subtract": {"al": {"kernel_order": 2}}}}
    plain = Settings().config_hash
    assert from_tree(options).config_hash != plain
    assert from_tree({"stream": {"brokers": "b:1"}}).config_hash == plain


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(), max_size=3))
def test_no_table_breaks_more_than_a_config_error(tree):
    with contextlib.suppress(ConfigError):
        from_tree(tree)


@pytest.mark.parametrize("transport", ["embedded", "memory"])
def test_only_kafka_has_transactions(transport):
    assert Settings().stream.is_exactly_once
    assert not from_tree({"stream": {"transport": transport}}).stream.is_exactly_once
    plain = from_tree({"stream": {"delivery": "at_least_once"}})
    assert not plain.stream.is_exactly_once


def test_the_url_of_a_catalogue_may_be_a_secret(tmp_path):
    path = tmp_path / "url"
    path.write_text("postgresql://me:pw@host/name\n")
    settings = from_tree({"catalogue": {"url_file": str(path)}})
    assert settings.catalogue.url == "postgresql://me:pw@host/name"
    assert "pw" not in repr(settings)
    with pytest.raises(ConfigError, match=r"\[catalogue\] url_file"):
        from_tree({"catalogue": {"url_file": str(tmp_path / "none")}})
