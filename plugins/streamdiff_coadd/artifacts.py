"""Which deviations of an epoch from the static sky are artifacts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.interpolate import dilate_by_disc
from streamdiff.imaging.outline import count_areas
from streamdiff.imaging.streaks import find_streaks
from streamdiff.model import MaskPlane
from streamdiff_coadd.footprints import Footprints
from streamdiff_coadd.layer import Layer
from streamdiff_coadd.stack import Stack
from streamdiff_coadd.static_sky import StaticSky
from streamdiff_coadd.variables import VariableSources

_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactRules:
    """What tells an artifact from a variable source.

    Attributes
    ----------
    max_epochs : int
    max_fraction_low, max_fraction_high : float
        Of n epochs, at most min(low n, max_epochs + high n) may show an artifact
        at the same place.
    spatial_threshold : float
        A deviation is an artifact if more than this part of its pixels deviates
        in so few epochs.
    prefilter : MaskPlane
        Pixels of these planes do not count.
    min_good_fraction : float
        Deviations with less of their pixels left are ignored.
    protect_snr : float or None
        Deviations within the footprints of brighter static sources are kept [sigma].
    psf_likeness : float
        Deviations with the shape of the PSF, centred on a static source, are kept:
        smallest cosine of the angle between the two, as vectors of pixels.
    max_variation : float
        Largest such deviation over the static source.
    find_streaks : bool
        Whether lines are artifacts along their whole length.
    """

    max_epochs: int
    max_fraction_low: float
    max_fraction_high: float
    spatial_threshold: float
    prefilter: MaskPlane
    min_good_fraction: float
    protect_snr: float | None
    psf_likeness: float
    max_variation: float
    find_streaks: bool

    def few(self, n_epochs: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return how many of n epochs may show an artifact at the same place."""
        high = self.max_epochs + self.max_fraction_high * n_epochs
        few: NDArray[np.int64] = np.minimum(self.max_fraction_low * n_epochs, high)
        return few.astype(np.int64)


class ArtifactFinder:
    """Finds the artifacts of each epoch of a stack.

    Parameters
    ----------
    stack : Stack
    sky : StaticSky
        Of the stack.
    rules : ArtifactRules
    """

    def __init__(self, stack: Stack, sky: StaticSky, rules: ArtifactRules) -> None:
        self._stack, self._sky, self._rules = stack, sky, rules
        self._deviations = [self._footprints(n) for n in range(len(stack.inputs))]
        self._amounts = [self._amounts_of(n) for n in range(len(stack.inputs))]
        self._n_deviant, self._n_showing = (
            np.zeros(stack.shape, np.uint16) for _ in range(2)
        )
        for number, deviations in enumerate(self._deviations):
            self._n_deviant.flat[deviations.pixels] += 1
            self._n_showing.flat[deviations.pixels] += self._shown(number)
        snr = _snr(sky)
        self._variables = VariableSources.of(
            sky,
            snr,
            psf_likeness=rules.psf_likeness,
            max_variation=rules.max_variation,
        )
        self._protected = np.zeros(snr.shape, bool)
        if rules.protect_snr is not None:
            self._protected = dilate_by_disc(snr > rules.protect_snr, sky.psf.fwhm)

    def artifacts(self, number: int) -> NDArray[np.bool_]:
        """Return where an input shows an artifact; shape (ny, nx)."""
        found = np.zeros(self._stack.shape, bool)
        layer = self._stack.inputs[number].load()
        deviations = self._deviations[number]
        if deviations.n:
            self._mark(found, number, layer)
            layer.let_go()
            self._variables.keep(found, self._sky.matchings[number], layer)
        if self._rules.find_streaks:
            streaks = find_streaks(self._sky.unpack(self._sky.deviant[number]))
            found |= count_areas(streaks, found.shape) > 0
        return found

    def _footprints(self, number: int) -> Footprints:
        """Return the connected deviations of an input that are strong somewhere."""
        deviant, seeds = (
            self._sky.unpack(bits[number])
            for bits in (self._sky.deviant, self._sky.seeds)
        )
        deviant &= dilate_by_disc(seeds, self._sky.psf.fwhm)
        return Footprints.of(deviant).with_any(seeds)

    def _amounts_of(self, number: int) -> NDArray[np.float32]:
        """Return by how much the pixels of the deviations of an input deviate."""
        pixels = np.flatnonzero(self._sky.unpack(self._sky.deviant[number]))
        amounts = np.concatenate(self._sky.amounts[number])
        return amounts[np.searchsorted(pixels, self._deviations[number].pixels)]

    def _shown(self, number: int) -> NDArray[np.bool_]:
        """Return which pixels of its deviations are an input's own."""
        smallest = self._sky.smallest.flat[self._deviations[number].pixels]
        shown: NDArray[np.bool_] = self._amounts[number] >= smallest
        return shown

    def _mark(self, found: NDArray[np.bool_], number: int, layer: Layer) -> None:
        """Mark the deviations of an input that few epochs show."""
        deviations, width = self._deviations[number], self._sky.psf.fwhm
        good = ~self._rules.prefilter.in_mask(layer.warp.mask.flat[deviations.pixels])
        exposed = ~self._protected.flat[deviations.pixels]
        eligible = deviations.mean(good) > self._rules.min_good_fraction
        eligible &= deviations.mean(exposed) > 0
        n_epochs = self._sky.n_image.flat[deviations.pixels].astype(float)
        few = self._rules.few(n_epochs)
        by_area, in_few = self._in_few(deviations, few, n_epochs)
        by_light, shown_in_few = self._shown_in_few(number, few)
        by_area, by_light = (
            (chosen & eligible)[deviations.labels] for chosen in (by_area, by_light)
        )
        # What lies behind a variable source that an artifact touches is none of it.
        here = (by_area & in_few) | (by_light & shown_in_few)
        found.flat[deviations.pixels[here]] = True
        near = dilate_by_disc(found, width).flat[deviations.pixels]
        found.flat[deviations.pixels] = (by_area | by_light) & near

    def _in_few(
        self,
        deviations: Footprints,
        few: NDArray[np.int64],
        n_epochs: NDArray[np.float64],
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which footprints mostly deviate in few epochs, and which pixels do."""
        n_deviant = self._n_deviant.flat[deviations.pixels]
        of_whole = self._rules.few(deviations.mean(n_epochs))[deviations.labels]
        part = deviations.mean(n_deviant <= of_whole)
        return part > self._rules.spatial_threshold, n_deviant <= few

    def _shown_in_few(
        self, number: int, few: NDArray[np.int64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which footprints few epochs show most light of, and which pixels."""
        deviations, amounts = self._deviations[number], self._amounts[number]
        n_showing = self._n_showing.flat[deviations.pixels]
        in_few = self._shown(number) & (n_showing <= few)
        light = np.maximum(deviations.mean(amounts), _TINY)
        part = deviations.mean(amounts * in_few) / light
        return part > self._rules.spatial_threshold, in_few


def _snr(sky: StaticSky) -> NDArray[np.float32]:
    """Return how far sources stand out of the sky [sigma]; 0 without data."""
    known = sky.variance > 0
    noise = np.ones(known.shape, np.float32)
    np.sqrt(sky.variance, out=noise, where=known)
    snr: NDArray[np.float32] = sky.image - sky.level
    snr /= noise
    snr[~known] = 0
    return snr
