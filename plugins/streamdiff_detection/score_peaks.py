"""Peaks of the matched-filter significance, above a threshold of both signs."""

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from streamdiff.errors import SubtractionError
from streamdiff.imaging.cosmic_rays import CosmicRayRules, find_cosmic_rays
from streamdiff.imaging.interpolate import dilate_by_disc
from streamdiff.imaging.islands import Islands
from streamdiff.imaging.places import (
    Places,
    places,
    places_beyond,
    places_in,
    surroundings,
    with_value,
)
from streamdiff.model import (
    DETECTION_COLUMNS,
    DiaSources,
    Difference,
    MaskPlane,
)
from streamdiff.model.ids import RANK_BITS
from streamdiff.model.psf import FWHM_PER_SIGMA, fwhm
from streamdiff_detection.footprints import (
    Footprints,
    mark_detected,
    measure_footprints,
    without_detections,
)
from streamdiff_detection.levelling import (
    LevelRules,
    finely_levelled,
    roughly_levelled,
)
from streamdiff_detection.neighbours import NeighbourRules, find_owners
from streamdiff_detection.peaks import Peaks, find_peaks
from streamdiff_detection.saturation import in_wings
from streamdiff_detection.scoring import ScoreRules, scored
from streamdiff_detection.sharpness import find_tracks, has_other_lobe, is_sharp
from streamdiff_detection.spoilt import is_spoilt
from streamdiff_detection.streaks import without_streaks
from streamdiff_detection.trails import find_trails

_MAX_SOURCES = 1 << RANK_BITS
# A frame with more has failed: what is sorted out of these is enough.
_MAX_PEAKS = 4 * _MAX_SOURCES


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorePeaksFinder:
    """Peaks of the significance of a point source.

    Attributes
    ----------
    threshold : float
        Least significance of a DiaSource of either sign [sigma].
    exclude : tuple of str
        Mask planes whose pixels do not count in the significance.
    reject : tuple of str
        Mask planes that no DiaSource is centred on.
    min_power : float
        Least fraction of the PSF's power on pixels that count.
    grow : float
        How far footprints reach beyond the threshold [sigma of the PSF].
    min_separation : float
        Peaks of one sign closer than this are one DiaSource [FWHM].
    lobe_separation : float
        Peaks of different signs closer than this are one, a dipole [FWHM].
    profile_tolerance : float
        Uncertainty of the profile of a bright source, as a fraction of it: peaks
        that the profile explains within this are no DiaSources.
    wing_fwhm, wing_growth : float
        Extent of the wings of saturated stars, where no DiaSource is accepted
        [FWHM], and as a fraction of the root of the saturated area; the larger
        one counts.
    min_width : float
        A DiaSource whose shorter axis is a smaller fraction of that of the PSF
        than this is a cosmic ray; 0 to accept any.
    cosmic_ray_sigma : float
        Pixels that exceed their neighbours by more, and stand out more than the PSF
        can, are cosmic rays and do not count; infinite to seek none [sigma].
    cosmic_ray_contrast : float
        How much more: the mean of two opposite neighbours over the pixel's value is
        less than this fraction of what it is in the middle of the PSF.
    max_cosmic_ray_fraction : float
        Part of the pixels; with more, the difference has failed.
    reject_trails : bool
        Accept no DiaSource on long lines along rows and columns.
    reject_streaks : bool
        Accept no DiaSource on straight lines across most of the image.
    background_box : int
        Side of the boxes [pixel] whose level is subtracted from the difference
        before; 0 for none.
    relative_noise : float or None
        What is left of stars, as a fraction of their flux, to be added to the
        noise; `None` to measure it on each difference. It hides the residuals of
        bright stars, and small changes of them.

    Notes
    -----
    ``min_power`` has no effect on a difference that comes with a score, and the
    background is subtracted from that.
    """

    threshold: Annotated[float, Gt(0)] = 5.0
    exclude: tuple[str, ...] = ("BAD", "SAT", "CR", "NO_DATA", "SAT_TEMPLATE")
    reject: tuple[str, ...] = ("BAD", "SAT", "CR", "NO_DATA", "SAT_TEMPLATE", "EDGE")
    min_power: Annotated[float, Gt(0), Le(1)] = 0.5
    grow: Annotated[float, Ge(0)] = 2.4
    min_separation: Annotated[float, Ge(0)] = 0.75
    lobe_separation: Annotated[float, Ge(0)] = 1.5
    profile_tolerance: Annotated[float, Ge(0), Le(1)] = 0.2
    wing_fwhm: Annotated[float, Ge(0)] = 2.0
    wing_growth: Annotated[float, Ge(0)] = 1.0
    min_width: Annotated[float, Ge(0), Le(1)] = 0.6
    cosmic_ray_sigma: Annotated[float, Gt(0)] = 6.0
    cosmic_ray_contrast: Annotated[float, Ge(0), Le(1)] = 0.35
    max_cosmic_ray_fraction: Annotated[float, Gt(0), Le(1)] = 0.05
    reject_trails: bool = True
    reject_streaks: bool = True
    background_box: Annotated[int, Ge(0)] = 128
    relative_noise: Annotated[float, Ge(0)] | None = None

    def __post_init__(self) -> None:
        # A misspelt plane is to be known at start, not at the first visit.
        MaskPlane.named((*self.exclude, *self.reject))

    def find(self, difference: Difference) -> tuple[Difference, DiaSources]:
        """Return the difference with its score and detection mask, and the peaks.

        Notes
        -----
        The significance is divided by what it is measured to vary more than the
        variance accounts for; see `ExcessNoise`. That also makes up for noise that
        stayed correlated, for the image as a whole but not for each part of it.

        Trails and streaks are marked as STREAK, and have a score of 0. Cosmic rays are
        marked as CR: those that stand out as pixels do not count in the score, those
        that only their peaks give away leave none around them.

        A DiaSource of two lobes is placed on the more significant one.
        """
        ny, nx = difference.shape
        psf = difference.psf.centred_at((nx - 1) / 2, (ny - 1) / 2)
        width = fwhm(psf)
        # What is found is marked in a mask that is nobody else's, step by step.
        mask = without_detections(difference.mask)
        difference = replace(difference, mask=mask)
        difference = roughly_levelled(difference, self._level_rules)
        difference, rays = self._without_cosmic_rays(difference, mask, psf)
        if self.reject_streaks:
            difference = without_streaks(difference, mask, self._level_rules)
        difference = finely_levelled(difference, self._level_rules)
        result = scored(difference, width, self._score_rules)
        excess, raw, score = result.excess, result.raw, result.score
        del result  # before more planes are made
        if self.reject_trails:
            trails = places(find_trails(score, width))
            mask[trails] |= np.int32(MaskPlane.STREAK)
        # The score is nobody else's, either.
        score[places_in(mask, MaskPlane.STREAK)] = 0
        beyond = places_beyond(score, self.threshold)
        found = find_peaks(score, beyond, raw)
        del raw
        difference = replace(difference, score=score)
        peaks, sharp, metrics = self._accepted(found, difference, psf)
        tracks, spoilt = _tracks(difference, sharp, width)
        score[spoilt] = 0
        peaks = peaks.take(score[peaks.row, peaks.column] != 0)
        beyond = _taken(beyond, score[beyond] != 0)
        grow = self.grow * width / FWHM_PER_SIGMA
        detected = mark_detected(
            mask, score, beyond, threshold=self.threshold, grow=grow
        )
        mask[tracks] |= np.int32(MaskPlane.CR)

        owner = find_owners(peaks, psf, self._rules(width))
        sources = _table(peaks, owner, measure_footprints(detected, peaks, owner))
        n_sources = int(np.count_nonzero(owner == np.arange(len(peaks))))
        metrics["n_peaks_over_limit"] += n_sources - len(sources)
        metrics |= {
            **difference.metrics,
            "n_peaks_absorbed": float(len(peaks) - n_sources),
            "n_cosmic_rays": float(_count_islands(rays, tracks, mask.shape)),
            "score_std": excess.spread,
            "star_shift": excess.shift,
            "relative_noise": excess.fraction,
        }
        return replace(difference, metrics=metrics), sources

    def _without_cosmic_rays(
        self,
        difference: Difference,
        mask: NDArray[np.int32],
        psf: NDArray[np.float64],
    ) -> tuple[Difference, Places]:
        """Mark cosmic rays; return the difference without them, and where they are.

        Raises
        ------
        SubtractionError
            If there are too many.
        """
        exclude = MaskPlane.named(self.exclude)
        rules = CosmicRayRules(
            sigma=self.cosmic_ray_sigma, contrast=self.cosmic_ray_contrast
        )
        rays = find_cosmic_rays(difference, psf, exclude, rules)
        fraction = len(rays[0]) / difference.image.size
        if fraction > self.max_cosmic_ray_fraction:
            raise SubtractionError(
                f"{difference.id}: {fraction:.1%} of the pixels are cosmic rays: the "
                "images do not match, or the PSF is wrong; see [plugins.find."
                "score_peaks] max_cosmic_ray_fraction"
            )
        mask[rays] |= np.int32(MaskPlane.CR)
        if difference.score is None or not fraction:
            return difference, rays
        marked = surroundings(rays, 0, difference.shape)
        spoilt = dilate_by_disc(marked, fwhm(psf))
        spoilt |= is_spoilt(difference, rays, psf)
        score = with_value(difference.score, places(spoilt), 0)
        return replace(difference, score=score), rays

    def _accepted(
        self, found: Peaks, difference: Difference, psf: NDArray[np.float64]
    ) -> tuple[Peaks, Peaks, dict[str, float]]:
        """Return peaks that may be sources, sharp ones, and how many no rule lets."""
        on_sky = found.take(~self._rejected(found, difference.mask))
        clear = on_sky.take(~self._in_wings(on_sky, difference.mask, fwhm(psf)))
        most = clear.take(clear.by_significance()[:_MAX_PEAKS])
        is_sharp = self._is_sharp(most, difference, psf)
        # The lobes of a dipole are narrower than the PSF, too.
        is_sharp &= ~has_other_lobe(most, self.lobe_separation * fwhm(psf))
        peaks, sharp = most.take(~is_sharp), most.take(is_sharp)
        stages = {
            "n_peaks_masked": (found, on_sky),
            "n_peaks_in_wings": (on_sky, clear),
            "n_peaks_over_limit": (clear, most),
            "n_peaks_sharp": (most, peaks),
        }
        counts = {k: float(len(a) - len(b)) for k, (a, b) in stages.items()}
        return peaks, sharp, counts | {"n_peaks": float(len(found))}

    def _rejected(self, peaks: Peaks, mask: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Return whether the pixels of peaks are on planes to be rejected."""
        return MaskPlane.named(self.reject).in_mask(mask[peaks.row, peaks.column])

    def _in_wings(
        self, peaks: Peaks, mask: NDArray[np.int32], width: float
    ) -> NDArray[np.bool_]:
        least = self.wing_fwhm * width
        return in_wings(peaks.x, peaks.y, mask, least=least, growth=self.wing_growth)

    def _is_sharp(
        self, peaks: Peaks, difference: Difference, psf: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        if self.min_width == 0:
            return np.zeros(len(peaks), bool)
        exclude = MaskPlane.named(self.exclude)
        return is_sharp(difference, peaks, psf, exclude=exclude, limit=self.min_width)

    @property
    def _level_rules(self) -> LevelRules:
        exclude = MaskPlane.named(self.exclude)
        return LevelRules(exclude=exclude, box=self.background_box)

    @property
    def _score_rules(self) -> ScoreRules:
        return ScoreRules(
            exclude=MaskPlane.named(self.exclude),
            min_power=self.min_power,
            relative_noise=self.relative_noise,
        )

    def _rules(self, width: float) -> NeighbourRules:
        return NeighbourRules(
            threshold=self.threshold,
            tolerance=self.profile_tolerance,
            min_separation=self.min_separation * width,
            lobe_separation=self.lobe_separation * width,
        )


def _tracks(
    difference: Difference, sharp: Peaks, width: float
) -> tuple[Places, Places]:
    """Return the pixels of cosmic rays that peaks gave away, and those around them."""
    tracks = find_tracks(difference, sharp)
    return places(tracks), places(dilate_by_disc(tracks, width))


def _taken(here: Places, where: NDArray[np.bool_]) -> Places:
    row, column = here
    return row[where], column[where]


def _count_islands(rays: Places, tracks: Places, shape: tuple[int, ...]) -> int:
    """Return how many cosmic rays there are, of which some pixels are in both."""
    pixels = np.union1d(*(np.ravel_multi_index(h, shape) for h in (rays, tracks)))
    row, column = np.divmod(pixels, shape[1])
    return Islands.of((row, column)).count


def _table(peaks: Peaks, owner: NDArray[np.intp], footprints: Footprints) -> DiaSources:
    """Return the most significant sources among peaks, by row, then column."""
    is_source = owner == np.arange(len(peaks))
    order = peaks.by_significance()
    chosen = order[is_source[order]][:_MAX_SOURCES]
    chosen = chosen[peaks.take(chosen).by_position()]
    sources = peaks.take(chosen)
    return DiaSources(
        DETECTION_COLUMNS,
        {
            "x": sources.x,
            "y": sources.y,
            "snr": np.abs(sources.score),
            "isNegative": sources.score < 0,
            "bboxSize": footprints.side[chosen],
            "footprintArea": footprints.area[chosen],
        },
    )
