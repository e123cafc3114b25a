"""Training of the model, with scikit-learn: the extra ``train``."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamdiff.errors import ConfigError
from streamdiff_reliability.model import ReliabilityModel, as_table

_TREES, _DEPTH, _RATE = 300, 4, 0.05
_SMALLEST_LEAF = 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examples:
    """DiaSources of which it is known what they are; n of them.

    Attributes
    ----------
    values : mapping of str to ndarray of float32, shape (n,)
        Their features.
    is_real : ndarray of bool, shape (n,)
    """

    values: Mapping[str, NDArray[np.float32]]
    is_real: NDArray[np.bool_]

    @classmethod
    def join(cls, parts: Iterable["Examples"]) -> Self:
        """Return all of several."""
        parts = list(parts)
        names = parts[0].values
        return cls(
            values={n: np.concatenate([p.values[n] for p in parts]) for n in names},
            is_real=np.concatenate([part.is_real for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.is_real)


def train(
    examples: Examples, held_out: Examples, *, version: str, seed: int
) -> ReliabilityModel:
    """Return a model trained on examples, and judged on others.

    Raises
    ------
    ConfigError
        If scikit-learn is not installed.
    """
    names = tuple(sorted(examples.values))
    table = as_table(examples.values, names)
    trees = trees_as_arrays(boosted_trees(table, examples.is_real, seed=seed))
    nothing = np.zeros(0)
    untested = ReliabilityModel(
        version=version,
        names=names,
        kept=nothing,
        cut=nothing,
        dropped=nothing,
        **trees,
    )
    kept, cut, dropped = roc(untested.score(held_out.values), held_out.is_real)
    return replace(untested, kept=kept, cut=cut, dropped=dropped)


def roc(
    scores: NDArray[np.float32], is_real: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return what cuts keep and drop.

    Returns
    -------
    kept, cut, dropped : ndarray of float64, shape (1001,)
        As those of `ReliabilityModel`.
    """
    kept = np.linspace(0, 1, 1001)
    best = np.sort(scores[is_real])[::-1].astype(float)
    n_kept = np.ceil(np.round(kept * len(best), 6)).astype(int)
    cut = best[np.maximum(n_kept, 1) - 1]
    below = np.searchsorted(np.sort(scores[~is_real]), cut, side="left")
    return kept, cut, below / max(int((~is_real).sum()), 1)


def boosted_trees(
    table: NDArray[np.float32], is_real: NDArray[np.bool_], *, seed: int
) -> Any:  # noqa: ANN401 (of a library that need not be there)
    """Return a fitted GradientBoostingClassifier.

    Parameters
    ----------
    table : ndarray of float32, shape (n, n_features)
    is_real : ndarray of bool, shape (n,)
    seed : int

    Raises
    ------
    ConfigError
        If scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import (  # noqa: PLC0415 (an extra)
            GradientBoostingClassifier,
        )
    except ImportError as err:
        raise ConfigError(
            "training needs scikit-learn: pip install 'streamdiff[train]'"
        ) from err
    boosted = GradientBoostingClassifier(
        n_estimators=_TREES,
        max_depth=_DEPTH,
        learning_rate=_RATE,
        subsample=0.5,
        max_features="sqrt",
        min_samples_leaf=_SMALLEST_LEAF,
        init="zero",
        random_state=seed,
    )
    # Either kind counts as much as the other.
    share = is_real.mean()
    weight = np.where(is_real, 0.5 / share, 0.5 / (1 - share))
    return boosted.fit(table, is_real, sample_weight=weight)


def trees_as_arrays(boosted: Any) -> dict[str, Any]:  # noqa: ANN401 (as above)
    """Return the nodes of boosted trees as a `ReliabilityModel` has them."""
    trees = [tree.tree_ for tree in boosted.estimators_[:, 0]]
    shape = len(trees), max(tree.node_count for tree in trees)
    own = np.broadcast_to(np.arange(shape[1], dtype=np.int16), shape)
    arrays: dict[str, Any] = {
        "feature": np.zeros(shape, np.int16),
        "threshold": np.full(shape, np.inf),
        "left": own.copy(),
        "right": own.copy(),
        "value": np.zeros(shape, np.float32),
    }
    for row, tree in enumerate(trees):
        inner = np.flatnonzero(tree.children_left >= 0)
        arrays["feature"][row, inner] = tree.feature[inner]
        arrays["threshold"][row, inner] = tree.threshold[inner]
        arrays["left"][row, inner] = tree.children_left[inner]
        arrays["right"][row, inner] = tree.children_right[inner]
        leaves = np.flatnonzero(tree.children_left < 0)
        values = boosted.learning_rate * tree.value[leaves, 0, 0]
        arrays["value"][row, leaves] = values
    return arrays
