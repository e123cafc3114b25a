"""``streamdiff train-reliability`` writes a model that the scorer reads."""

import json

import numpy as np

from streamdiff.app import training
from streamdiff_reliability import FeatureScorer
from streamdiff_reliability.train import Examples


def separable(field):
    """Return examples of one feature that tells them apart, in place of a field's."""
    rng = np.random.default_rng(field.seed)
    is_real = rng.uniform(size=200) < 0.5
    feature = rng.normal(np.where(is_real, 3, -3)).astype(np.float32)
    return Examples(values={"feature": feature}, is_real=is_real)


def test_it_writes_a_model_and_tells_its_quality(run, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "examples_of", separable)
    path = tmp_path / "model.npz"
    end = run("train-reliability", "-o", path, "--fields", "2", "--held-out", "2")
    assert end.code == 0, end.err
    assert "98.0%" in end.out
    assert "100.0%" in end.out
    model = FeatureScorer(model=str(path)).trained
    assert model.names == ("feature",)
    assert model.working_point(0.98)[1] > 0.98


def test_its_quality_is_told_to_programs(run, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "examples_of", separable)
    path = tmp_path / "model.npz"
    end = run(
        *("train-reliability", "-o", path, "--name", "mine", "--json"),
        *("--fields", "2", "--held-out", "2"),
    )
    told = json.loads(end.out)
    assert (told["output"], told["name"]) == (str(path), "mine")
    kept = {point["real_kept"]: point for point in told["held_out"]}
    assert kept[0.98]["artifacts_dropped"] > 0.98


def test_fields_of_which_none_can_be_subtracted_are_an_error(
    run, tmp_path, monkeypatch
):
    monkeypatch.setattr(training, "examples_of", lambda _: None)
    end = run("train-reliability", "-o", tmp_path / "model.npz", "--fields", "1")
    assert end.code == 1
    assert "no field" in end.err
    assert not (tmp_path / "model.npz").exists()
