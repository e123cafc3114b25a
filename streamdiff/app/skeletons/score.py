"""The more significant, the more reliable: a beginning."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from streamdiff.hookspecs import hookimpl
from streamdiff.model import DiaSources
from streamdiff.stages import Images, Scorer


@dataclass(frozen=True, slots=True, kw_only=True)
class Mine:
    """A smooth step in the significance.

    Attributes
    ----------
    half_snr : float
        Significance of a reliability of 0.5 [sigma].
    """

    half_snr: Annotated[float, Gt(0)] = 6.0

    def score(self, sources: DiaSources, images: Images) -> NDArray[np.float32]:
        """Return reliabilities in [0, 1]; shape (len(sources),)."""
        _ = images
        snr = np.asarray(sources["snr"], np.float32)
        return snr**4 / (snr**4 + np.float32(self.half_snr**4))


@hookimpl
def streamdiff_scorers() -> Mapping[str, Callable[..., Scorer]]:
    """Offer ``mine``."""
    return {"mine": Mine}
