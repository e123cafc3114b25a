"""What 'plugins new' begins with keeps the contract, kind by kind."""

import re
import sys
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from streamdiff.app.new_plugin import SKELETONS
from streamdiff.plugins import KINDS, Origin, Plugin
from streamdiff.ports import ConsumedRecord
from streamdiff.testing.contract import FilesInMemory, Subject, Verdict, event_of, run

ORIGIN = Origin(entry_point="mine", distribution="mine", version="0.1")


def npz():
    buffer = BytesIO()
    rng = np.random.default_rng(1)
    image = rng.normal(size=(20, 30))
    image[3, 4] = np.nan
    cd = np.diag([-5e-5, 5e-5])
    np.savez(buffer, image=image, variance=np.ones((20, 30)), crval=[10.0, 20], cd=cd)
    return buffer.getvalue()


MESSAGE = b"""{"file": "s3://a/b.fits", "exposure": 7, "chip": 2, "filter": "r",
 "mjd": 61000.2, "seconds": 30}"""
CASES = {
    "read": {
        "a good file": (
            event_of("memory://a"),
            FilesInMemory(contents={"memory://a": npz()}),
        )
    },
    "decode": {
        "a message": (
            ConsumedRecord(
                topic="t",
                partition=0,
                offset=1,
                key=None,
                value=MESSAGE,
                timestamp_ms=5,
            ),
        )
    },
}


@pytest.fixture(scope="module")
def elsewhere():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield lambda function, *arguments: pool.submit(function, *arguments).result()


@pytest.mark.parametrize("kind", SKELETONS)
def test_a_skeleton_keeps_the_contract_of_its_kind(kind, elsewhere):
    module = import_module(f"streamdiff.app.skeletons.{kind}")
    ((name, factory),) = getattr(module, KINDS[kind])().items()
    subject = Subject(
        plugin=Plugin(kind=kind, name=name, factory=factory, origin=ORIGIN),
        elsewhere=elsewhere,
        cases=CASES.get(kind, {}),
    )
    results = list(run(subject))
    assert [str(r.error) for r in results if r.verdict is Verdict.BROKEN] == []


def test_the_plugin_of_the_readme_keeps_the_contract(tmp_path, monkeypatch):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    (tmp_path / "plugin_of_the_readme.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    module = import_module("plugin_of_the_readme")
    (factory,) = module.streamdiff_subtractors().values()
    subject = Subject(
        plugin=Plugin(kind="subtract", name="plain", factory=factory, origin=ORIGIN)
    )
    results = list(run(subject))
    sys.modules.pop("plugin_of_the_readme")
    assert [str(r.error) for r in results if r.verdict is Verdict.BROKEN] == []
