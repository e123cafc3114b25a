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
    assert (end.code, end.out) == (0, f"{path}: ok\n")


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
