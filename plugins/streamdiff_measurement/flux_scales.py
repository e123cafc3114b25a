"""How the flux scales of the images relate to that of their difference."""

from streamdiff.model import FluxScale
from streamdiff.stages import Images


def flux_scales(images: Images) -> tuple[float, float]:
    """Return what takes science and template to the scale of the difference."""
    difference = images.difference
    if difference.flux_scale is FluxScale.TEMPLATE:
        return 1 / difference.kernel_sum, 1.0
    return 1.0, difference.kernel_sum
