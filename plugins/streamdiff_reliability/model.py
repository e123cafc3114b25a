"""The trained model: boosted decision trees, read from a file and applied by numpy.

Friedman 2001, Annals of Statistics 29, 1189. The file is an npz of plain arrays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from os import PathLike
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

FORMAT = 1
# What trees see where a feature is not known: less than all values.
MISSING = np.float32(-1e5)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReliabilityModel:
    """Decision trees whose sum is the log odds of a real change.

    Attributes
    ----------
    version : str
        Of the training, as users may quote it.
    names : tuple of str
        The features, in the order in which trees number them.
    feature : ndarray of int, shape (n_trees, n_nodes)
        Which feature a node looks at; leaves look at any.
    threshold : ndarray of float64, shape (n_trees, n_nodes)
        A node goes to the left up to it; infinite at leaves.
    left, right : ndarray of int, shape (n_trees, n_nodes)
        The next node; that of a leaf is itself.
    value : ndarray of float32, shape (n_trees, n_nodes)
        Log odds that leaves add.
    kept, cut, dropped : ndarray of float64, shape (n,)
        On held-out simulations: fractions of real changes in ascending order, the
        reliability that so many of them reach, and the fraction of artifacts that
        do not reach it.
    """

    version: str
    names: tuple[str, ...]
    feature: NDArray[np.int16]
    threshold: NDArray[np.float64]
    left: NDArray[np.int16]
    right: NDArray[np.int16]
    value: NDArray[np.float32]
    kept: NDArray[np.float64]
    cut: NDArray[np.float64]
    dropped: NDArray[np.float64]

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Return the model of a file.

        Raises
        ------
        ValueError
            If the file holds another format.
        """
        with np.load(path, allow_pickle=False) as file:
            found = int(file["format"]) if "format" in file else None
            if found != FORMAT:
                raise ValueError(
                    f"{path}: reliability models of format {FORMAT} are read, this "
                    f"is {found}: train it anew"
                )
            stored = {name: file[name] for name in file.files if name != "format"}
        stored["version"] = str(stored["version"])
        stored["names"] = tuple(stored["names"].tolist())
        return cls(**stored)

    def save(self, file: IO[bytes]) -> None:
        """Write the model."""
        arrays: dict[str, Any] = {
            f.name: np.array(getattr(self, f.name)) for f in fields(self)
        }
        np.savez_compressed(file, format=np.array(FORMAT), **arrays)

    def score(self, values: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return reliabilities, shape (n,).

        Parameters
        ----------
        values : mapping of str to ndarray of float32, shape (n,)
            The features by name.
        """
        table = as_table(values, self.names)
        trees = np.arange(len(self.feature))
        rows = np.arange(len(table))[:, np.newaxis]
        node = np.zeros((len(table), len(trees)), np.int16)
        while True:
            goes_left = (
                table[rows, self.feature[trees, node]] <= self.threshold[trees, node]
            )
            after = np.where(goes_left, self.left[trees, node], self.right[trees, node])
            if (after == node).all():
                break
            node = after
        odds = self.value[trees, node].sum(axis=1, dtype=float)
        return np.asarray(1 / (1 + np.exp(-odds)), np.float32)

    def working_point(self, kept: float) -> tuple[float, float]:
        """Return the cut that keeps a fraction of real changes, and what it drops."""
        index = min(int(np.searchsorted(self.kept, kept)), len(self.kept) - 1)
        return float(self.cut[index]), float(self.dropped[index])


def as_table(
    values: Mapping[str, NDArray[np.float32]], names: tuple[str, ...]
) -> NDArray[np.float32]:
    """Return features as trees see them, shape (n, n_features)."""
    table = np.stack([values[name] for name in names], axis=1)
    return np.where(np.isfinite(table), table, MISSING)
