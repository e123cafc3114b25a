"""The model that comes along tells changes from artifacts."""

import re
from pathlib import Path

import numpy as np
import pytest

from streamdiff.errors import PluginError
from streamdiff.model import DiaSources
from streamdiff.plugins import discover
from streamdiff_reliability import FeatureScorer

README = Path(__file__).parents[3] / "README.md"


def test_it_is_found_by_its_name():
    assert discover().get("score", "features").build({}) == FeatureScorer()


def test_reliability_is_between_0_and_1(sources, images):
    score = FeatureScorer().score(sources, images)
    assert score.shape == (len(sources),)
    assert score.dtype == np.float32
    assert ((score >= 0) & (score <= 1)).all()


def test_point_sources_are_reliable_and_artifacts_are_not(sources, images, kind):
    score = FeatureScorer().score(sources, images)
    middle = {what: np.median(score[kind == what]) for what in set(kind)}
    assert middle["point"] > 0.9
    assert middle["spike"] < 0.5
    assert middle["dipole"] < 0.5


def test_no_source_has_no_score(images):
    assert FeatureScorer().score(DiaSources.empty(), images).shape == (0,)


def test_a_missing_model_is_known_at_start(tmp_path):
    path = str(tmp_path / "none.npz")
    with pytest.raises(PluginError, match=r"features.*none\.npz"):
        discover().get("score", "features").build({"model": path})


def test_the_model_keeps_real_changes_and_drops_artifacts():
    model = FeatureScorer().trained
    _, dropped = model.working_point(0.98)
    assert dropped >= 0.9


def test_the_readme_tells_what_the_model_does():
    model = FeatureScorer().trained
    row = r"^\| ([\d.]+) % \| ([\d.]+) % \| ([\d.]+) \|$"
    rows = re.findall(row, README.read_text(), re.MULTILINE)
    assert len(rows) >= 4
    for kept, dropped, cut in rows:
        expected_cut, expected = model.working_point(float(kept) / 100)
        assert float(dropped) == pytest.approx(100 * expected, abs=0.051)
        assert float(cut) == pytest.approx(expected_cut, abs=0.00051)
