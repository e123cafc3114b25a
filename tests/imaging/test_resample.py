import numpy as np
import pytest
import scipy.fft
from astropy.wcs import WCS, Sip

from streamdiff.imaging.lanczos import normalised_weights
from streamdiff.imaging.pixel_map import pixel_map, transform
from streamdiff.imaging.psf_warp import warp_psf
from streamdiff.imaging.resample import Planes, resample
from streamdiff.model import ConstantPsf, GridPsf, MaskPlane
from streamdiff.testing import GaussianProfile, PointSource, Scene

SCENE = Scene(shape=(200, 240))
TURNED = SCENE.dithered_wcs(rotation_deg=3, dx=0.4, dy=-1.3)


def planes(image, *, mask=None, variance=None):
    shape = image.shape
    return Planes(
        image=image.astype(np.float32),
        variance=np.ones(shape, np.float32) if variance is None else variance,
        mask=np.zeros(shape, np.int32) if mask is None else mask,
    )


def noise(shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape)


def distorted(strength):
    wcs = SCENE.dithered_wcs()
    a, b = np.zeros((3, 3)), np.zeros((3, 3))
    a[2, 0], b[1, 1] = strength, -strength
    wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    return wcs


def error_of_map(source, target, shape):
    grid = pixel_map(source, target, shape)
    y, x = np.mgrid[: shape[0] - 1 : 3.7, : shape[1] - 1 : 3.3]
    j, i = (y // grid.step).astype(int), (x // grid.step).astype(int)
    v, u = y / grid.step - j, x / grid.step - i
    corners = ((0, 0, (1 - v) * (1 - u)), (0, 1, (1 - v) * u))
    corners += ((1, 0, v * (1 - u)), (1, 1, v * u))
    linear = [
        sum(w * nodes[j + dj, i + di] for dj, di, w in corners)
        for nodes in (grid.x, grid.y)
    ]
    return np.abs(np.array(linear) - transform(source, target, x, y)).max()


def test_map_between_rotated_tangent_planes_is_good_to_a_thousandth_pixel():
    assert error_of_map(SCENE.wcs, TURNED, (200, 240)) < 1e-3


@pytest.mark.parametrize("strength", [1e-6, 1e-4])
def test_map_follows_a_distortion_whatever_its_strength(strength):
    assert error_of_map(distorted(strength), TURNED, (200, 240)) < 2e-3


def test_directions_behind_the_tangent_plane_are_nowhere():
    behind = Scene(ra=30, dec=12).wcs  # the antipode of the default
    grid = pixel_map(behind, SCENE.wcs, SCENE.shape)
    assert np.isnan(grid.x).all()


def test_frames_of_coordinates_may_differ():
    galactic = WCS(naxis=2)
    galactic.wcs.ctype = ["GLON-TAN", "GLAT-TAN"]
    centre = SCENE.wcs.pixel_to_world(120, 100).galactic
    galactic.wcs.crval = [centre.l.deg, centre.b.deg]
    galactic.wcs.cdelt = [-0.2 / 3600, 0.2 / 3600]
    galactic.wcs.crpix = [1, 1]
    x, y = transform(galactic, SCENE.wcs, np.array([120.0]), np.array([100.0]))
    assert np.hypot(x, y)[0] < 1e-3


@pytest.mark.parametrize("order", [2, 3, 4, 5])
def test_flux_of_a_star_is_kept(order):
    star = SCENE.add(PointSource(121.3, 99.6, 1e4))
    image = star.render(GaussianProfile(fwhm=4))
    coarser = Scene(shape=(190, 220), pixel_scale_arcsec=0.23)
    for target, shape in ((TURNED, (200, 240)), (coarser.wcs, coarser.shape)):
        grid = pixel_map(SCENE.wcs, target, shape)
        warped = resample(planes(image), grid, shape, order=order)
        # The centroid of the normalised weights is off by up to some 0.01 px,
        # depending on the phase; where the phase varies flux comes and goes.
        assert warped.image.sum(dtype=float) == pytest.approx(1e4, rel=5e-3)


def test_whole_pixel_shift_is_exact_inside():
    image = noise((64, 64))
    scene = Scene(shape=(64, 64))
    grid = pixel_map(scene.wcs, scene.dithered_wcs(dx=3, dy=-2), (64, 64))
    warped = resample(planes(image), grid, (64, 64)).image
    np.testing.assert_allclose(warped[8:-8, 8:-8], image[10:-6, 5:-11], atol=1e-4)


def exact(image, map_, row, column, order):
    """Return the interpolated value of a target pixel, summed in float64."""
    (j, v), (i, u) = divmod(row, map_.step), divmod(column, map_.step)
    v, u = v / map_.step, u / map_.step

    def at(nodes):
        upper, lower = nodes[j : j + 2, i : i + 2] @ [1 - u, u]
        return (1 - v) * upper + v * lower

    x, y = at(map_.x), at(map_.y)
    left, top = int(x) - order + 1, int(y) - order + 1
    wx, wy = (normalised_weights(np.array([p % 1]), order)[0] for p in (x, y))
    box = image[top : top + 2 * order, left : left + 2 * order].astype(float)
    return at(map_.area) * (wy @ box @ wx)


# Kernels lie side by side, a few do, none does.
@pytest.mark.parametrize("rotation_deg", [0.3, 15, 45])
@pytest.mark.parametrize("order", [2, 5])
def test_sums_are_exact_however_the_images_are_turned(rotation_deg, order):
    target = SCENE.dithered_wcs(rotation_deg=rotation_deg, dx=0.4, dy=-1.3)
    map_ = pixel_map(SCENE.wcs, target, SCENE.shape)
    image = noise(SCENE.shape).astype(np.float32)
    warped = resample(planes(image), map_, SCENE.shape, order=order).image
    rng = np.random.default_rng(2)
    for row, column in rng.integers(70, 130, (200, 2)):
        # 100 products of float32 numbers of about 1, whose weights err by 4e-7
        expected = exact(image, map_, row, column, order)
        assert warped[row, column] == pytest.approx(expected, abs=4e-6)


def test_threads_do_not_change_a_bit():
    map_ = pixel_map(SCENE.wcs, TURNED, SCENE.shape)
    given = planes(noise(SCENE.shape))
    alone = resample(given, map_, SCENE.shape)
    with scipy.fft.set_workers(3):
        together = resample(given, map_, SCENE.shape)
    for one, other in zip(alone.arrays(), together.arrays(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_constant_brightness_stays_constant():
    warped = resample(
        planes(np.full((200, 240), 7.0)),
        pixel_map(SCENE.wcs, TURNED, (200, 240)),
        (200, 240),
    )
    inside = warped.mask == 0
    assert inside.mean() > 0.8
    np.testing.assert_allclose(warped.image[inside], 7, rtol=1e-4)


@pytest.mark.parametrize(
    ("rotation_deg", "dx", "scale"),
    [(0.0, 0.5, 0.2), (3.0, 0.1, 0.2), (3.0, 0.1, 0.15), (3.0, 0.1, 0.3)],
)
def test_covariance_factor_predicts_the_noise_of_large_apertures(
    rotation_deg, dx, scale
):
    shape = (1200, 1200)
    source = Scene(shape=shape, pixel_scale_arcsec=0.2)
    target = Scene(shape=shape, pixel_scale_arcsec=scale)
    grid = pixel_map(
        source.wcs, target.dithered_wcs(rotation_deg=rotation_deg, dx=dx, dy=dx), shape
    )
    warped = resample(planes(noise(shape)), grid, shape)
    power = warped.variance * warped.covariance_factor
    good = ~MaskPlane.NO_DATA.in_mask(warped.mask)
    ny, nx = (int(n) for n in np.ptp(np.nonzero(good), axis=1) // 2 // 24 * 24)
    box = (slice(600 - ny // 2, 600 + ny // 2), slice(600 - nx // 2, 600 + nx // 2))
    # Power at frequencies so low that no kernel has suppressed any of it.
    spectrum = np.abs(np.fft.fft2(warped.image[box])) ** 2 / (ny * nx)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(nx), np.fft.fftfreq(ny)))
    low = (frequency > 0) & (frequency < 0.1)
    # n independent modes know the power to 1 / sqrt(n / 2).
    error = 1 / np.sqrt(low.sum() / 2)
    assert error < 0.02
    measured = spectrum[low].mean() / power[box].mean(dtype=float)
    assert measured == pytest.approx(1, abs=4 * error + 0.01)


def test_variance_plane_predicts_the_scatter_of_pixels():
    warped = resample(
        planes(noise((1000, 1000))),
        pixel_map(
            Scene(shape=(1000, 1000)).wcs,
            Scene(shape=(1000, 1000)).dithered_wcs(rotation_deg=3),
            (1000, 1000),
        ),
        (1000, 1000),
    )
    good = warped.mask == 0
    pull = warped.image[good] / np.sqrt(warped.variance[good])
    # 9e5 pixels, correlated over about 2: the variance is known to 0.3 %.
    assert pull.var() == pytest.approx(1, abs=0.01)


def test_missing_pixels_stay_missing_and_do_not_spread():
    image = np.ones((60, 60))
    mask = np.zeros((60, 60), np.int32)
    image[30, 30], mask[12, 12] = np.nan, MaskPlane.NO_DATA
    scene = Scene(shape=(60, 60))
    grid = pixel_map(scene.wcs, scene.dithered_wcs(dx=0.5, dy=0.5), (60, 60))
    warped = resample(planes(image, mask=mask), grid, (60, 60))
    lost = MaskPlane.NO_DATA.in_mask(warped.mask)
    assert lost[30:32, 30:32].all()
    assert lost[12:14, 12:14].all()
    assert lost[4:-4, 4:-4].sum() == 8
    assert (warped.image[lost] == 0).all()
    assert np.isinf(warped.variance[lost]).all()
    np.testing.assert_allclose(warped.image[~lost], 1, atol=1e-3)


def test_mask_bits_follow_the_pixels_around_the_position():
    mask = np.zeros((60, 60), np.int32)
    mask[30, 30] = MaskPlane.SAT
    scene = Scene(shape=(60, 60))
    grid = pixel_map(scene.wcs, scene.dithered_wcs(dx=0.5, dy=0), (60, 60))
    warped = resample(planes(np.ones((60, 60)), mask=mask), grid, (60, 60))
    rows, columns = np.nonzero(MaskPlane.SAT.in_mask(warped.mask))
    assert list(zip(rows, columns, strict=True)) == [(30, 30), (30, 31)]


def test_cosmic_ray_does_not_ring_beyond_its_flag():
    image, mask = np.zeros((60, 60)), np.zeros((60, 60), np.int32)
    image[30, 30], mask[30, 30] = 1e5, MaskPlane.CR
    scene = Scene(shape=(60, 60))
    grid = pixel_map(scene.wcs, scene.dithered_wcs(dx=0.4, dy=0.4), (60, 60))
    warped = resample(planes(image, mask=mask), grid, (60, 60))
    assert (warped.image == 0).all()


def test_no_overlap_is_all_without_data():
    far = Scene(shape=(40, 50), ra=100, dec=50)
    warped = resample(
        planes(np.ones((200, 240))), pixel_map(SCENE.wcs, far.wcs, (40, 50)), (40, 50)
    )
    assert (warped.mask == MaskPlane.NO_DATA).all()
    assert (np.asarray(warped.covariance_factor) == 1).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 2), (33, 5)])
def test_tiny_images_can_be_warped(shape):
    scene = Scene(shape=shape)
    grid = pixel_map(scene.wcs, scene.dithered_wcs(dx=0.3), shape)
    warped = resample(planes(np.ones(shape)), grid, shape)
    assert warped.image.shape == shape
    assert np.isfinite(warped.image).all()


@pytest.mark.parametrize(
    ("rotation_deg", "dx", "tolerance"), [(0.0, 0.5, 1e-3), (3.0, 0.2, 6e-3)]
)
def test_warped_psf_is_that_of_warped_stars(rotation_deg, dx, tolerance):
    profile = GaussianProfile(fwhm=2.6)
    target = SCENE.dithered_wcs(rotation_deg=rotation_deg, dx=dx, dy=dx)
    grid = pixel_map(SCENE.wcs, target, SCENE.shape)
    psf = warp_psf(profile.psf(SCENE.shape), grid, SCENE.shape)
    rng = np.random.default_rng(3)
    errors = []
    for x, y in rng.uniform((70, 60), (170, 140), (12, 2)):
        star = SCENE.add(PointSource(x, y, 1.0))
        image = resample(planes(star.render(profile)), grid, SCENE.shape).image
        (u,), (v,) = star.positions(star.sources, target)
        ky, kx = psf.shape
        top, left = int(np.floor(v + 0.5)) - ky // 2, int(np.floor(u + 0.5)) - kx // 2
        errors.append(image[top : top + ky, left : left + kx] - psf.at(u, v))
    assert np.abs(np.mean(np.abs(errors), axis=0)).sum() < 10 * tolerance
    assert np.abs(errors).max() < tolerance


def test_psf_of_a_pure_shift_stays_constant():
    grid = pixel_map(SCENE.wcs, SCENE.dithered_wcs(dx=0.5), SCENE.shape)
    psf = GaussianProfile(fwhm=3).psf(SCENE.shape)
    assert isinstance(warp_psf(psf, grid, SCENE.shape), ConstantPsf)


def test_elongation_turns_with_the_image():
    stamp = np.zeros((21, 21))
    y, x = np.mgrid[-10:11, -10:11]
    stamp = np.exp(-0.5 * ((x / 3) ** 2 + (y / 1.5) ** 2))
    grid = pixel_map(SCENE.wcs, SCENE.dithered_wcs(rotation_deg=90), SCENE.shape)
    psf = warp_psf(ConstantPsf(stamp), grid, SCENE.shape)
    assert isinstance(psf, GridPsf)
    turned = psf.centred_at(120, 100)
    assert (turned * y**2).sum() > 3 * (turned * x**2).sum()
