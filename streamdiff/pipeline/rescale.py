"""Variance planes brought to the scatter of their images, before these are matched."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from streamdiff.imaging.variance_scale import variance_scale
from streamdiff.model import Exposure

Image = Literal["science", "template"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceRescaling:
    """Rescales the variance planes of the chosen images.

    Attributes
    ----------
    images : collection of {"science", "template"}
        Whose planes are rescaled.
    limit : float
        Largest factor, and inverse of the smallest; above 1.
    """

    images: Collection[Image] = ()
    limit: float = 10.0

    def __call__(
        self, science: Exposure, template: Exposure
    ) -> tuple[Exposure, Exposure, dict[str, float]]:
        """Return both exposures with honest variances, and the factors as metrics.

        Metrics are ``science_variance_scale`` and ``template_variance_scale``.

        Raises
        ------
        VarianceScaleError
            If a plane is out of proportion to its image.
        """
        exposures = {"science": science, "template": template}
        metrics = {}
        for image in self.images:
            exposure = exposures[image]
            factor = variance_scale(exposure, limit=self.limit)
            variance = exposure.variance * np.float32(factor)
            exposures[image] = replace(exposure, variance=variance)
            metrics[f"{image}_variance_scale"] = factor
        return exposures["science"], exposures["template"], metrics
