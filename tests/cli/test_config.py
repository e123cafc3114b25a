import json

import pytest

COMPLETE = """
[stream]
brokers = "localhost:9092"
[store]
uri = "memory://templates"
"""


def test_the_example_passes_the_check(run, config):
    path = config(run("config", "example").out)
    end = run("config", "check", "-c", path)
    assert end.code == 0
    assert end.out.endswith(f"{path}: ok\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[stream]\nworker = 2", "stream.worker: there is no such key"),
        ("[store]\nuri = 'memory://t'", "[stream] brokers: required"),
        ("[stream]\nbrokers = 'h:1'", "[store] uri: required"),
        (COMPLETE + "[pipeline]\nsubtract = 'ai'", "did you mean 'al'"),
        (
            COMPLETE + "[plugins.subtract.al]\nkernel_ordr = 2",
            "[plugins.subtract.al] kernel_ordr: there is no such key (value 2)",
        ),
        (COMPLETE + "[plugins.subtrct.al]", "subtrct"),
        (COMPLETE + "skymap = {patch_pixels = 80}", "[store.skymap] overlap_pixels"),
    ],
)
def test_a_mistake_is_named_in_one_line(run, config, text, told):
    end = run("config", "check", "-c", config(text))
    assert end.code == 2
    assert told in end.err
    assert len(end.err.splitlines()) == 1


def test_the_environment_is_checked_too(run, config, monkeypatch):
    monkeypatch.setenv("STREAMDIFF__STREAM__WORKERS", "none")
    end = run("config", "check", "-c", config(COMPLETE))
    assert end.code == 2
    assert "stream.workers" in end.err


def settings_of(end):
    found = json.loads(end.out)["settings"]
    return {item["key"]: (item["value"], item["origin"]) for item in found}


def test_the_settings_that_hold_are_shown_with_where_they_came_from(
    run, config, monkeypatch, tmp_path
):
    secret = tmp_path / "password"
    secret.write_text("hunter2")
    path = config(
        COMPLETE
        + f"""
[stream.kafka]
"sasl.username" = "someone"
"sasl.password_file" = "{secret}"
[catalogue]
url = "postgresql+psycopg://me:hunter2@host/name"
[plugins.subtract.al]
kernel_order = 1
"""
    )
    monkeypatch.setenv("STREAMDIFF__STREAM__WORKERS", "4")

    end = run("config", "check", "-c", path, "--json")

    found = settings_of(end)
    assert found["stream.workers"] == ("4", "STREAMDIFF__STREAM__WORKERS")
    assert found["stream.brokers"] == ('"localhost:9092"', str(path))
    assert found["stream.group"] == ('"streamdiff"', "default")
    assert found["stream.kafka.sasl.username"] == ('"someone"', str(path))
    assert found["stream.kafka.sasl.password"] == ("(secret)", str(path))
    assert found["plugins.subtract.al.kernel_order"] == ("1", str(path))
    assert found["catalogue.url"][0] == '"postgresql+psycopg://me:***@host/name"'
    assert found["pipeline.register"][1] == "default"
    assert "hunter2" not in end.out


def test_a_person_sees_what_is_not_at_its_default(run, config):
    path = config(COMPLETE)

    short, full = (
        run("config", "check", "-c", path, *extra).out for extra in ([], ["--all"])
    )

    assert "stream.brokers" in short
    assert "stream.group" not in short
    assert "keys have their defaults" in short
    assert "stream.group" in full
