"""Cosmic rays of the science image, masked before it is matched.

Convolution gives them the shape of the PSF: on a difference whose science image was
convolved, nothing tells them from stars any more.
"""

from dataclasses import dataclass, replace
from typing import Annotated

from annotated_types import Gt, Le

from streamdiff.imaging.cosmic_rays import CosmicRayRules, find_cosmic_rays
from streamdiff.imaging.islands import Islands
from streamdiff.imaging.places import with_plane
from streamdiff.model import UNUSABLE, Exposure, MaskPlane

# Those that `score_peaks` has for differences.
_RULES = CosmicRayRules(sigma=6.0, contrast=0.35)


@dataclass(frozen=True, slots=True, kw_only=True)
class CosmicRayMasking:
    """Marks cosmic rays as CR.

    Attributes
    ----------
    enabled : bool
        Whether any are marked.
    max_fraction : float
        With a larger part of the pixels, the PSF or the variance is wrong, and none
        is marked.
    """

    enabled: bool = True
    max_fraction: Annotated[float, Gt(0), Le(1)] = 0.05

    def __call__(self, science: Exposure) -> tuple[Exposure, dict[str, float]]:
        """Return the exposure with a mask of them, and their number as a metric."""
        if not self.enabled:
            return science, {}
        height, width = science.shape
        psf = science.psf.centred_at((width - 1) / 2, (height - 1) / 2)
        rays = find_cosmic_rays(science, psf, UNUSABLE, _RULES)
        if len(rays[0]) > self.max_fraction * height * width:
            return science, {"n_science_cosmic_rays": 0.0}
        mask = with_plane(science.mask, rays, MaskPlane.CR)
        metrics = {"n_science_cosmic_rays": float(Islands.of(rays).count)}
        return replace(science, mask=mask), metrics
