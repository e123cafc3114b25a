"""What every subtraction asks of its two images."""

from streamdiff.errors import SubtractionError
from streamdiff.model import Exposure, Reason, Skip

# Plain frames often do not say what band they are in.
_ANY_BAND = "unknown"


def check_comparable(science: Exposure, template: Exposure) -> None:
    """Raise unless a template can be subtracted from a science exposure.

    Raises
    ------
    SubtractionError
        If their shapes differ, or their bands.
    """
    if science.shape != template.shape:
        raise SubtractionError(
            f"{science.id}: science image {science.shape} and template "
            f"{template.shape} differ in shape: warp the template first"
        )
    bands = science.id.band, template.id.band
    if bands[0] != bands[1] and _ANY_BAND not in bands:
        raise SubtractionError(
            f"{science.id}: science image (band {bands[0]!r}) and template "
            f"{template.id} (band {bands[1]!r}) differ in band: their stars do not "
            "subtract"
        )


def no_common_pixel(science: Exposure) -> Skip:
    """Return the outcome where no pixel is usable in both images."""
    return Skip(
        Reason.NO_VALID_PIXELS,
        f"{science.id}: no pixel is usable in the science image and in the template",
    )
