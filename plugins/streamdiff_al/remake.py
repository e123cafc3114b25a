"""The match that a difference was made with, to make it once more."""

from math import nan

import numpy as np

from streamdiff.errors import SubtractionError
from streamdiff.model import Convolved, Difference, FluxScale
from streamdiff_al.match import Match


def stored_match(difference: Difference) -> Match:
    """Return the match of the images of a difference.

    Raises
    ------
    SubtractionError
        If the difference comes without its matching kernel.
    """
    if difference.matching_kernel is None:
        raise SubtractionError(
            f"{difference.id}: the stored difference has no matching kernel: "
            "subtract its images anew"
        )
    science_is_source = difference.convolved is Convolved.SCIENCE
    target_scale = FluxScale.TEMPLATE if science_is_source else FluxScale.SCIENCE
    factor = -1.0 if science_is_source else 1.0
    if difference.flux_scale is not target_scale:
        to_science = target_scale is FluxScale.SCIENCE
        factor *= difference.kernel_sum if to_science else 1 / difference.kernel_sum
    stored = difference.background
    background = np.zeros(1) if stored is None else factor * stored
    return Match(
        kernel=difference.matching_kernel,
        background=background.astype(np.float32).astype(float),
        condition=nan,
        residuals=(),
        n_rejected=0,
    )
