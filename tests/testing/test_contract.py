"""Every plugin that is installed keeps the contract of its kind."""

import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from streamdiff.adapters.fits.exposure import encode_exposure
from streamdiff.plugins import KINDS, discover
from streamdiff.testing import Scene
from streamdiff.testing.contract import (
    FilesInMemory,
    NotApplicableError,
    Subject,
    checks,
    event_of,
)

PLUGINS = discover().plugins
SKY = Scene.star_field(shape=(60, 71), seed=1)
CASES = {
    ("read", "fits"): {
        "an exposure": (
            event_of("memory://image"),
            FilesInMemory(
                contents={"memory://image": encode_exposure(SKY.observe(visit=3))}
            ),
        )
    }
}


@pytest.fixture(scope="module")
def elsewhere():
    """Return how a function is called in another process, one for all tests."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield lambda function, *arguments: pool.submit(function, *arguments).result()


# As LSST's schemas look, in one file.
LSST_ALERT = {
    "type": "record",
    "name": "lsst.v1_0.alert",
    "fields": [
        {
            "name": "diaSource",
            "type": {
                "type": "record",
                "name": "lsst.v1_0.diaSource",
                "fields": [
                    {"name": "diaSourceId", "type": "long"},
                    {"name": "psfFlux", "type": ["null", "float"], "default": None},
                ],
            },
        }
    ],
}


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    """Return the options that have no default, by plugin."""
    folder = tmp_path_factory.mktemp("lsst")
    (folder / "lsst.v1_0.alert.avsc").write_text(json.dumps(LSST_ALERT))
    return {("formats", "lsst"): {"folder": str(folder)}}


@pytest.fixture(scope="module")
def subjects(elsewhere, options):
    """Return each plugin, built once."""
    return {
        key: Subject(
            plugin=plugin,
            elsewhere=elsewhere,
            cases=CASES.get(key, {}),
            options=options.get(key, {}),
        )
        for key, plugin in PLUGINS.items()
    }


def rules():
    for kind, name in sorted(PLUGINS):
        for rule in checks(kind):
            yield pytest.param((kind, name), rule, id=f"{kind}-{name}-{rule.name}")


@pytest.mark.parametrize(("key", "rule"), [*rules()])
def test_the_contract_is_kept(subjects, key, rule):
    try:
        rule(subjects[key])
    except NotApplicableError as err:
        assert str(err)  # noqa: PT017 - it says why


def test_there_are_rules_for_every_kind():
    for kind in KINDS:
        assert len(checks(kind)) > 10, kind
