"""The weighted mean of warps without what few of them show."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt

from streamdiff.model import MaskPlane
from streamdiff_coadd.artifacts import ArtifactFinder, ArtifactRules
from streamdiff_coadd.mean import Fraction, MeanCoadder
from streamdiff_coadd.running_mean import RunningMean
from streamdiff_coadd.stack import Stack
from streamdiff_coadd.static_sky import StaticSky
from streamdiff_coadd.strip import DeviationRules


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareWarpCoadder(MeanCoadder):
    """The mean of what is static, after LSST's CompareWarpAssembleCoaddTask.

    All warps are brought to one PSF and compared with their clipped mean. Where a
    warp deviates from it, and few warps do, it shows an artifact: a cosmic ray, a
    satellite, a minor planet, a ghost. Where many deviate, a source varies.

    Attributes
    ----------
    bad, scale, min_stars, max_seeing_arcsec, best_fraction
        See `MeanCoadder`, which tells of the others, too.
    min_inputs : int
        Fewer accepted warps make no coadd. Of two, none is the odd one out.
    threshold, grow_threshold : float
        Of deviations, and of pixels connected to them [sigma].
    comparable : float
        Epochs that deviate by less than this part of the largest deviation at a pixel
        do not show what is there, but its wings: those of a minor planet reach
        farther than it moves. 0 counts all that deviate.
    clip : float
        Values farther from the median do not enter the static sky [sigma].
    star_tolerance : float
        What errors of PSF, registration and flux scale may leave of a star,
        relative to its peak; more where most stars of an epoch show more.
    max_epochs, max_fraction_low, max_fraction_high : int, float, float
        Of n epochs, at most min(low n, max_epochs + high n) show an artifact at
        the same place.
    spatial_threshold : float
        A deviation is an artifact if more than this part of its pixels deviates
        in so few epochs: 0 for all, 1 for none.
    prefilter : tuple of str
        Mask planes whose pixels do not make a deviation.
    min_good_fraction : float
        Deviations with less of their pixels outside these planes are ignored.
    protect_snr : float or None
        Deviations within the footprints of brighter static sources are kept [sigma].
    psf_likeness : float
        Deviations with the shape of the PSF, centred on a static source, are kept:
        smallest cosine of the angle between the two.
    max_variation : float
        Largest such deviation over the static source: a brighter one is another
        body in front of it.
    scale_variance : bool
        Compare by the scatter of the emptiest sky, whatever the variance planes say.
    level_cell : int
        Distance over which errors of the sky subtraction may change: the epochs are
        compared at one level [pixel]; 0 to compare them as they are.
    find_streaks : bool
        Reject lines along their whole length, also where they are lost in noise.

    Notes
    -----
    Departures from LSST's task: the static sky is clipped by the known noise around
    the median, which works from three epochs on (the scatter of five values can not
    tell that one of them is odd); faint, extended deviations are found in a mean
    over the size of the PSF; a source that varies is told by its shape, where the
    rule of the epochs alone clips the outskirts of variable stars; and a deviation
    whose light is mostly shown by few epochs is an artifact, though many deviate
    there a little, as where a minor planet moves by its own width. Pixels beside the
    border of an epoch are compared like others, what the matching of their PSF needs
    beyond it being interpolated.
    """

    min_inputs: Annotated[int, Ge(1)] = 3
    threshold: Annotated[float, Gt(0)] = 5.0
    grow_threshold: Annotated[float, Gt(0)] = 2.0
    comparable: Fraction = 0.25
    clip: Annotated[float, Gt(0)] = 3.0
    star_tolerance: Annotated[float, Ge(0)] = 0.02
    max_epochs: Annotated[int, Ge(0)] = 2
    max_fraction_low: Fraction = 0.4
    max_fraction_high: Fraction = 0.03
    spatial_threshold: Fraction = 0.5
    prefilter: tuple[str, ...] = ("NO_DATA", "BAD", "SUSPECT")
    min_good_fraction: Fraction = 0.05
    protect_snr: Annotated[float, Gt(0)] | None = 300.0
    psf_likeness: Fraction = 0.9
    max_variation: Annotated[float, Gt(0)] = 3.0
    scale_variance: bool = True
    level_cell: Annotated[int, Ge(0)] = 256
    find_streaks: bool = False

    def __post_init__(self) -> None:
        MeanCoadder.__post_init__(self)
        _ = self._artifact_rules

    def fill(self, mean: RunningMean, stack: Stack) -> None:
        """Add the inputs of a stack to their mean, without their artifacts."""
        sky = StaticSky.of(stack, self._deviation_rules)
        finder = ArtifactFinder(stack, sky, self._artifact_rules)
        for number, item in enumerate(stack.inputs):
            mean.add(item, finder.artifacts(number))

    @property
    def _deviation_rules(self) -> DeviationRules:
        return DeviationRules(
            threshold=self.threshold,
            grow_threshold=self.grow_threshold,
            comparable=self.comparable,
            clip=self.clip,
            star_tolerance=self.star_tolerance,
            scale_variance=self.scale_variance,
            level_cell=self.level_cell,
        )

    @property
    def _artifact_rules(self) -> ArtifactRules:
        return ArtifactRules(
            max_epochs=self.max_epochs,
            max_fraction_low=self.max_fraction_low,
            max_fraction_high=self.max_fraction_high,
            spatial_threshold=self.spatial_threshold,
            prefilter=MaskPlane.named(self.prefilter),
            min_good_fraction=self.min_good_fraction,
            protect_snr=self.protect_snr,
            psf_likeness=self.psf_likeness,
            max_variation=self.max_variation,
            find_streaks=self.find_streaks,
        )
