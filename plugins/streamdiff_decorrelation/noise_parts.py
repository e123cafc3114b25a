"""The noise that each of the two exposures adds to a difference."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from streamdiff.errors import SubtractionError
from streamdiff.imaging.interpolate import fill_unusable
from streamdiff.model import UNUSABLE, Convolved, Difference, Exposure, FluxScale
from streamdiff_decorrelation.noise_levels import noise_levels

# Beyond this ratio, whitening would be the deconvolution of one image.
_MAX_RATIO = 1e4
# The noise that whitening leaves changes by less than half of what the ratio does.
_CONSTANT = 0.01


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """One exposure on the flux scale of a difference.

    Attributes
    ----------
    exposure : Exposure
    scale : float
        Flux of a star in the difference over that in the exposure.
    """

    exposure: Exposure
    scale: float

    @property
    def image(self) -> NDArray[np.float32]:
        """Return the image without holes; shape (ny, nx)."""
        unusable = UNUSABLE.in_mask(self.exposure.mask)
        filled = fill_unusable(self.exposure.image, unusable)
        return filled if self.scale == 1 else filled * np.float32(self.scale)

    @property
    def power(self) -> NDArray[np.float32]:
        """Return the noise power at frequency 0, without holes; shape (ny, nx)."""
        exposure = self.exposure
        unusable = UNUSABLE.in_mask(exposure.mask)
        unusable |= exposure.variance < 0
        power = exposure.variance * np.float32(self.scale**2)
        power *= exposure.covariance_factor
        return fill_unusable(power, unusable)


@dataclass(frozen=True, eq=False, kw_only=True)
class NoiseRatio:
    """Noise power of the one part over that of the other, over the image.

    Attributes
    ----------
    cells : ndarray of float64, shape (cy, cx)
        In cells that are the equal parts of the image.
    image_shape : tuple of int
        (height, width) of the image.
    limited : float
        Part of the cells whose ratio is larger than the largest that is used.
    """

    cells: NDArray[np.float64]
    image_shape: tuple[int, int]
    limited: float = 0.0

    @cached_property
    def is_constant(self) -> bool:
        """Return whether one value serves everywhere."""
        return bool(np.ptp(np.log(self.cells)) < _CONSTANT)

    def at(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Return the ratio at positions, continuous in them; the shape is theirs."""
        x, y = np.asarray(x, float), np.asarray(y, float)
        if self.is_constant:
            return np.full(x.shape, np.median(self.cells))
        where = [
            (p + 0.5) / n * c + 0.5
            for p, n, c in zip((y, x), self.image_shape, self.cells.shape, strict=True)
        ]
        logs = _continued(np.log(self.cells))
        ratio: NDArray[np.float64] = np.exp(
            ndimage.map_coordinates(logs, where, order=1, mode="nearest")
        )
        return np.minimum(ratio, _MAX_RATIO)

    @property
    def metrics(self) -> dict[str, float]:
        """Return the range of the ratio over the image."""
        return {
            "decorrelation_noise_ratio": float(np.median(self.cells)),
            "decorrelation_noise_ratio_min": float(self.cells.min()),
            "decorrelation_noise_ratio_max": float(self.cells.max()),
            "decorrelation_noise_ratio_limited": self.limited,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NoiseParts:
    """The two exposures in the roles that they play in the noise of a difference.

    Attributes
    ----------
    fixed : Part
        The exposure whose noise stayed white, or that was convolved with a kernel
        of its own, where both were.
    matched : Part
        The one that was convolved with the matching kernel.
    """

    fixed: Part
    matched: Part

    @classmethod
    def of(
        cls, difference: Difference, science: Exposure, template: Exposure
    ) -> "NoiseParts":
        """Return what two exposures add to their difference."""
        on_template = difference.flux_scale is FluxScale.TEMPLATE
        unit = 1 / difference.kernel_sum if on_template else 1.0
        parts = [
            Part(exposure=science, scale=unit),
            Part(exposure=template, scale=unit * difference.kernel_sum),
        ]
        if difference.convolved is Convolved.SCIENCE:
            parts.reverse()
        return cls(fixed=parts[0], matched=parts[1])

    def ratio(self, cells: tuple[int, int]) -> NoiseRatio:
        """Return the noise power of the matched part over that of the fixed one.

        Raises
        ------
        SubtractionError
            If neither exposure has a pixel of positive variance.
        """
        fixed, matched = (
            noise_levels(part.exposure, cells) * part.scale**2
            for part in (self.fixed, self.matched)
        )
        if not (fixed + matched > 0).all():
            raise SubtractionError(
                f"{self.fixed.exposure.id}, {self.matched.exposure.id}: no pixel of "
                "either has a positive variance: the noise of their difference is "
                "unknown"
            )
        # A ratio of no noise at all does nothing.
        smallest, total = 1 / _MAX_RATIO, fixed + matched
        ratio = np.maximum(matched, total * smallest) / np.maximum(
            fixed, total * smallest
        )
        return NoiseRatio(
            cells=ratio,
            image_shape=self.fixed.exposure.shape,
            limited=float(np.mean(fixed < total * smallest)),
        )


def _continued(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values of cells with one more on every side, which continue the slope."""
    for axis, number in enumerate(cells.shape):
        margins = [(int(axis == a), int(axis == a)) for a in (0, 1)]
        if number > 1:
            cells = np.pad(cells, margins, mode="reflect", reflect_type="odd")
        else:
            cells = np.pad(cells, margins, mode="edge")
    return cells
