"""Honest scenes, subtracted, whitened and searched with the default options.

Photons count (1 electron per nJy), the template is the mean of four exposures, the
science image is calibrated 20 % too low and has a sky of its own. PSFs are Moffat
profiles, elongated, and vary over the field; stars are off by 0.2 px, smoothly over
the field. Stars saturate and bleed, columns are bad, blocks are missing.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from streamdiff.imaging.point_source import forced_flux
from streamdiff.model import (
    UNUSABLE,
    Convolved,
    DiaSources,
    Difference,
    Exposure,
    FluxScale,
    MaskPlane,
)
from streamdiff.testing import (
    BadColumns,
    Camera,
    Displacement,
    MoffatProfile,
    NoData,
    PointSource,
    Scene,
    SkyGradient,
    VaryingProfile,
)
from streamdiff.testing.figures import noise_ratio, star_residuals
from streamdiff_al import AlardLuptonSubtractor
from streamdiff_decorrelation import WhiteningDecorrelator
from streamdiff_detection import ScorePeaksFinder

SATURATION = 6e4
# Sky and read noise, of one exposure and of the mean of four [electron].
NOISE = {"science": np.sqrt(400 + 25), "template": np.sqrt((300 + 25) / 4)}
FLUX_SCALE = 0.8
FLUXES = (560.0, 1e7)
MISREGISTRATION = Displacement(rms=0.2, seed=4)
WIDE = VaryingProfile(
    middle=MoffatProfile(fwhm=4.0, beta=4.0, ellipticity=0.15, angle=35.0),
    fwhm_slope=(0.08, 0.05),
    corner_ellipticity=0.15,
)
SHARP = MoffatProfile(fwhm=3.0, beta=4.0, ellipticity=0.05, angle=100.0)
MASKED = UNUSABLE | MaskPlane.SAT_TEMPLATE
# Peaks within it of a masked pixel are the ring around it [pixel].
RING = 8
# At 5 sigma, a megapixel of noise has less than one peak; at 4 sigma some 20.
FINDER = ScorePeaksFinder(threshold=4.0)
BORDER = 32
# A change adds nothing to the square around a star that is farther away [pixel].
APART = 20.0


@dataclass(frozen=True, kw_only=True)
class Subtracted:
    """A sky, the science image with and without noise, and the difference."""

    scene: Scene
    science: Exposure
    light: np.ndarray
    displacement: Displacement
    changes: tuple[PointSource, ...]
    difference: Difference
    found: DiaSources

    @property
    def inside(self):
        """Return True where no image border is near."""
        inside = np.zeros(self.light.shape, bool)
        inside[BORDER:-BORDER, BORDER:-BORDER] = True
        return inside

    @property
    def masked(self):
        return MASKED.in_mask(self.difference.mask)

    @property
    def blank(self):
        """Return True where stars add less than a tenth of the noise, or least."""
        dark = self.light < max(
            0.1 * NOISE["science"], np.quantile(self.light, 0.3).item()
        )
        return dark & self.inside & ~self.masked

    def bright_stars(self, least_snr):
        """Return x and y of unsaturated stars of at least that S/N in their peaks."""
        stars = [s for s in self.scene.sources if isinstance(s, PointSource)]
        if self.changes:
            changed = cKDTree([(s.x, s.y) for s in self.changes])
            stars = [s for s in stars if changed.query((s.x, s.y))[0] > APART]
        x, y = np.array([(s.x, s.y) for s in stars]).T
        x, y = np.array([x, y]) + self.displacement.smooth(x, y, self.light.shape)
        row, column = np.rint([y, x]).astype(int)
        inside = (row >= 0) & (row < self.light.shape[0])
        inside &= (column >= 0) & (column < self.light.shape[1])
        x, y, row, column = (v[inside] for v in (x, y, row, column))
        snr = self.light / np.sqrt(self.science.variance)
        bright = (snr[row, column] > least_snr) & self.inside[row, column]
        return x[bright], y[bright]

    def peaks_per_mpx(self, where):
        """Return the number of peaks, and the area [Mpx] of what is True."""
        row, column = np.rint([self.found["y"], self.found["x"]]).astype(int)
        return np.count_nonzero(where[row, column]), np.count_nonzero(where) / 1e6


def blemishes(shape, seed, n=14):
    """Return bad columns, and blocks without data, at random places."""
    rng = np.random.default_rng(seed)
    low, high = BORDER, np.array(shape) - 2 * BORDER
    columns = rng.integers(low, high[1], n).tolist()
    corners, sizes = rng.integers(low, high, (n, 2)), rng.integers(1, 40, (n, 2))
    blocks = (
        NoData(x=(x, x + width), y=(y, y + height))
        for (y, x), (height, width) in zip(
            corners.tolist(), sizes.tolist(), strict=True
        )
    )
    return BadColumns(columns=tuple(columns)), *blocks


def subtracted(
    scene, profiles, changes=(), *, displacement=MISREGISTRATION, n_blemishes=14
):
    """Observe a scene, and the changes in the science image alone, and subtract."""
    now = scene.add(*changes)
    sky = SkyGradient(level=15, slope_x=3, slope_y=-2)
    science = now.observe(
        profile=profiles[0],
        noise=NOISE["science"],
        seed=1,
        flux_scale=FLUX_SCALE,
        displacement=displacement,
        camera=Camera(gain=1.0, saturation=SATURATION),
        artifacts=(sky, *blemishes(scene.shape, 1, n_blemishes)),
    )
    template = scene.observe(
        profile=profiles[1],
        noise=NOISE["template"],
        seed=2,
        camera=Camera(gain=4.0, saturation=SATURATION),
        artifacts=blemishes(scene.shape, 2, n_blemishes),
    )
    difference = AlardLuptonSubtractor().subtract(science, template)
    difference = WhiteningDecorrelator().decorrelate(difference, science, template)
    difference, found = FINDER.find(difference)
    return Subtracted(
        scene=scene,
        science=science,
        light=FLUX_SCALE * now.render(profiles[0], displacement=displacement),
        changes=changes,
        displacement=displacement,
        difference=difference,
        found=found,
    )


@pytest.fixture(scope="module")
def field():
    return Scene.star_field(shape=(1300, 1300), seed=7, flux_range=FLUXES, slope=1.8)


@pytest.fixture(scope="module")
def sharp_template(field):
    return subtracted(field, (WIDE, SHARP))


@pytest.fixture(scope="module")
def wide_template(field):
    return subtracted(field, (SHARP, WIDE))


CHANGE_SNR = 50.0


@pytest.fixture(scope="module")
def changes():
    """Return 256 sources on a grid that knows nothing of the stars."""
    flux = CHANGE_SNR * NOISE["science"] / FLUX_SCALE * 8.0
    steps = np.linspace(60, 963, 16)
    return tuple(PointSource(x + 0.3, y - 0.2, flux) for y in steps for x in steps)


@pytest.fixture(scope="module")
def crowded(changes):
    scene = Scene.star_field(
        shape=(1024, 1024),
        density_per_mpx=20_000,
        seed=8,
        flux_range=FLUXES,
        slope=1.8,
    )
    return subtracted(
        scene, (WIDE, SHARP), changes, displacement=Displacement(), n_blemishes=3
    )


@pytest.fixture(params=["sharp_template", "wide_template"])
def sparse(request):
    return request.getfixturevalue(request.param)


def test_wide_template_is_not_sharpened(wide_template):
    assert wide_template.difference.convolved is Convolved.SCIENCE


def test_variance_accounts_for_the_noise_of_blank_sky(sparse):
    # A megapixel knows a standard deviation to 0.07 %.
    assert np.count_nonzero(sparse.blank) >= 1e6
    assert noise_ratio(sparse.difference, sparse.blank) == pytest.approx(1, abs=0.01)


def test_variance_accounts_for_the_noise_between_crowded_stars(crowded):
    # 3e5 pixels know it to 0.13 %.
    assert np.count_nonzero(crowded.blank) >= 2e5
    assert noise_ratio(crowded.difference, crowded.blank) == pytest.approx(1, abs=0.01)


def residuals(sky):
    """Return median and 90th percentile of what is left of bright stars, in noise."""
    left = star_residuals(sky.difference, *sky.bright_stars(least_snr=50.0))
    left = left[np.isfinite(left)] / noise_ratio(sky.difference, sky.blank)
    assert left.size >= 25
    return np.quantile(left, [0.5, 0.9])


def test_static_stars_leave_noise_alone(sparse):
    # 81 px know their root mean square to 8 %: noise has its 90th percentile at 1.1.
    median, high = residuals(sparse)
    assert median <= 1.05
    assert high <= 1.3


def test_crowded_stars_leave_noise_alone(crowded):
    median, high = residuals(crowded)
    assert median <= 1.1
    assert high <= 1.5


def test_masked_pixels_have_no_ring_of_false_detections(sharp_template, wide_template):
    counts = []
    for sky in (sharp_template, wide_template):
        distance = ndimage.distance_transform_edt(~sky.masked)
        usable = sky.inside & ~sky.masked
        near, far = usable & (distance <= RING), usable & (distance > RING)
        counts.append([sky.peaks_per_mpx(near), sky.peaks_per_mpx(far)])
    (n_near, area_near), (n_far, area_far) = np.sum(counts, axis=0)
    # Some 15 and 40 peaks know the ratio of the rates to a third of itself.
    assert n_far >= 25
    assert n_near / area_near <= 3 * n_far / area_far


def test_noise_has_no_false_detections_at_the_default_threshold(sparse):
    # The noise has 0.3 of them per Mpx, 0.5 on this image; of a mean of 0.5, more
    # than 4 come once in 5,000.
    assert np.count_nonzero(sparse.found["snr"] >= 5) <= 4


def test_fluxes_in_a_crowd_are_unbiased(crowded, changes):
    x, y, flux = np.array([(c.x, c.y, c.flux) for c in changes]).T
    scale = 1.0 if crowded.difference.flux_scale is FluxScale.TEMPLATE else FLUX_SCALE
    measured = forced_flux(crowded.difference, x, y, exclude=MASKED)
    ratio, error = (v / (scale * flux) for v in (measured.flux, measured.flux_error))
    known = np.isfinite(ratio)
    bias = np.average(ratio[known], weights=error[known] ** -2) - 1
    statistics = 1 / np.sqrt(np.sum(error[known] ** -2))
    assert statistics < 0.0025
    assert abs(bias) <= 0.005 + 3 * statistics


def test_background_in_a_crowd_is_that_between_the_stars(crowded):
    sky = crowded.difference
    pulls = (sky.image / np.sqrt(sky.variance))[crowded.blank]
    # A PSF flux would be off by 0.02 sqrt(NEA), a seventh of its error. 3e5 pixels
    # know the mean to 0.002.
    assert abs(pulls.mean(dtype=float)) < 0.02 + 3 * 0.002
