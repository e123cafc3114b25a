"""The scorer ``features``: the reliability of DiaSources by a trained model."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import DiaSources
from streamdiff.stages import Images
from streamdiff_reliability.features import features
from streamdiff_reliability.model import ReliabilityModel


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureScorer:
    """Boosted trees on features of the triplet and of the measurements.

    Attributes
    ----------
    model : str
        Path of a file that ``streamdiff train-reliability`` has made; empty for the
        one that comes along.

    Notes
    -----
    It knows nothing of pixel flags. It was trained with all built-in measurers;
    without some of them, it knows less.
    """

    model: str = ""

    def __post_init__(self) -> None:
        # A file that can not be read is to be known at start.
        _ = self.trained

    @property
    def trained(self) -> ReliabilityModel:
        """Return the model."""
        return _load(self.model)

    def score(self, sources: DiaSources, images: Images) -> NDArray[np.float32]:
        """Return reliabilities in [0, 1]; shape (len(sources),)."""
        if len(sources) == 0:
            return np.zeros(0, np.float32)
        return self.trained.score(features(sources, images))


@lru_cache(maxsize=8)
def _load(path: str) -> ReliabilityModel:
    if path:
        return ReliabilityModel.load(path)
    with as_file(files(__package__) / "model.npz") as packaged:
        return ReliabilityModel.load(packaged)
