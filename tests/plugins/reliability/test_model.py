"""Models are kept in files, and judge as scikit-learn does."""

from io import BytesIO

import numpy as np
import pytest

from streamdiff_reliability.model import MISSING, ReliabilityModel, as_table
from streamdiff_reliability.train import (
    Examples,
    boosted_trees,
    roc,
    train,
    trees_as_arrays,
)


def random_examples(seed, n=600):
    rng = np.random.default_rng(seed)
    values = {name: rng.normal(size=n).astype(np.float32) for name in "abc"}
    odds = values["a"] - 2 * values["b"] ** 2 + 1 + rng.normal(0, 0.5, n)
    values["c"][::7] = np.nan
    return Examples(values=values, is_real=odds > 0)


@pytest.fixture(scope="module")
def model():
    return train(random_examples(0), random_examples(1), version="test", seed=3)


def test_what_was_learnt_is_known_of_others(model):
    others = random_examples(2)
    score = model.score(others.values)
    assert ((score > 0) & (score < 1)).all()
    assert ((score > 0.5) == others.is_real).mean() > 0.85


def test_score_is_that_of_scikit_learn():
    examples = random_examples(0)
    table = as_table(examples.values, ("a", "b", "c"))
    boosted = boosted_trees(table, examples.is_real, seed=1)
    nothing = np.zeros(0)
    model = ReliabilityModel(
        version="",
        names=("a", "b", "c"),
        kept=nothing,
        cut=nothing,
        dropped=nothing,
        **trees_as_arrays(boosted),
    )
    expected = boosted.predict_proba(table)[:, 1]
    assert model.score(examples.values) == pytest.approx(expected, abs=1e-5)


def test_a_file_holds_it(model, tmp_path):
    path = tmp_path / "model.npz"
    with path.open("wb") as file:
        model.save(file)
    read = ReliabilityModel.load(path)
    assert (read.version, read.names) == ("test", model.names)
    values = random_examples(5).values
    np.testing.assert_array_equal(read.score(values), model.score(values))
    assert read.working_point(0.9) == model.working_point(0.9)


def test_another_format_is_refused(tmp_path):
    path = tmp_path / "model.npz"
    for content in ({"format": np.array(99)}, {"value": np.zeros(3)}):
        file = BytesIO()
        np.savez(file, **content)
        path.write_bytes(file.getvalue())
        with pytest.raises(ValueError, match=r"model.npz.*train it anew"):
            ReliabilityModel.load(path)


def test_values_that_are_not_known_are_less_than_all():
    table = as_table({"a": np.array([1, np.nan, np.inf], np.float32)}, ("a",))
    assert table[:, 0].tolist() == [1, MISSING, MISSING]


def test_roc_counts():
    scores = np.array([0.9, 0.8, 0.7, 0.1, 0.75, 0.3, 0.2, 0.05], np.float32)
    is_real = np.array([1, 1, 1, 1, 0, 0, 0, 0], bool)
    kept, cut, dropped = roc(scores, is_real)
    half = np.searchsorted(kept, 0.75)
    assert cut[half] == pytest.approx(0.7)
    assert dropped[half] == 0.75
    assert dropped[-1] == 0.25
    assert (np.diff(dropped) <= 0).all()


def test_training_is_reproducible(model):
    again = train(random_examples(0), random_examples(1), version="test", seed=3)
    np.testing.assert_array_equal(again.value, model.value)
