"""How well the kernel of all candidates is known."""

import numpy as np
import pytest
from scipy.signal import fftconvolve

from streamdiff_al.basis import alard_lupton_basis
from streamdiff_al.cutter import Cutter
from streamdiff_al.fit import constant_model
from streamdiff_al.joint import JointBasis, JointFit
from streamdiff_al.pixels import Pixels

SIDE, SIZE, N_FITS = 61, 9, 300
BASIS = alard_lupton_basis(SIZE, (1.2,), (2,))
TRUTH = np.tensordot([1.0, 0.1, -0.1, 0.05, 0.0, 0.02], BASIS, 1)
SOURCE_SIGMA, TARGET_SIGMA = 8.0, 5.0


def star():
    v, u = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    return 5e3 * np.exp(-(u**2 + v**2) / 4)


def pixels(image, sigma):
    return Pixels(
        image=image.astype(np.float32),
        variance=np.full(image.shape, sigma**2, np.float32),
        mask=np.zeros(image.shape, np.int32),
        usable=np.ones(image.shape, bool),
        saturated=np.zeros(image.shape, bool),
        no_data=np.zeros(image.shape, bool),
    )


def fit(rng, target_scatter):
    """Return the kernel fitted to one star in two images with noise."""
    source = star() + SOURCE_SIGMA * rng.normal(size=(SIDE, SIDE))
    target = fftconvolve(star(), TRUTH, "same") + target_scatter * rng.normal(
        size=(SIDE, SIDE)
    )
    cutter = Cutter.of(
        pixels(target, TARGET_SIGMA),
        pixels(source, SOURCE_SIGMA),
        BASIS,
        half=15,
        order=0,
    )
    cutout = cutter.cut(SIDE // 2, SIDE // 2)
    overlaps = np.tensordot(BASIS, BASIS, axes=((1, 2), (1, 2)))
    variances = [cutout.variance(TRUTH)]
    model = constant_model(len(BASIS), (SIDE, SIDE))
    joint = JointFit.of(
        model,
        JointBasis(kernels=BASIS, overlaps=overlaps),
        model.equations([cutout], variances, overlaps),
    )
    return joint.kernel_with_covariance([cutout], variances, [TRUTH])


@pytest.fixture(scope="module")
def fits():
    rng = np.random.default_rng(1)
    return [fit(rng, TARGET_SIGMA) for _ in range(N_FITS)]


def test_sum_of_the_kernel_scatters_as_its_variance_says(fits):
    scatter = np.var([kernel.sum_at(30, 30) for kernel in fits], ddof=1)
    claimed = np.mean([kernel.sum_variance_at(30, 30) for kernel in fits])
    # A variance is known to sqrt(2 / 300), 8 %.
    assert scatter / claimed == pytest.approx(1, abs=0.25)


def test_pixels_of_the_kernel_scatter_as_their_variances_say(fits):
    scatter = np.var([kernel.at(30, 30) for kernel in fits], axis=0, ddof=1)
    claimed = np.mean([kernel.variance_at(30, 30) for kernel in fits], axis=0)
    assert scatter.sum() / claimed.sum() == pytest.approx(1, abs=0.25)
    seen = claimed > 0.1 * claimed.max()
    assert scatter[seen] / claimed[seen] == pytest.approx(1, abs=0.4)


def test_residuals_larger_than_the_noise_make_the_kernel_less_certain(fits):
    excess = fit(np.random.default_rng(2), 3 * TARGET_SIGMA)
    usual = np.mean([kernel.sum_variance_at(30, 30) for kernel in fits])
    assert excess.sum_variance_at(30, 30) > 2 * usual


def test_background_survives_a_change_of_unit():
    rng = np.random.default_rng(3)
    model = constant_model(1, (SIDE, SIDE))
    joint = JointFit(
        model=model,
        basis=JointBasis(kernels=np.ones((1, 1, 1)), overlaps=np.ones((1, 1))),
        equations=None,
        parameters=rng.normal(size=2),
        condition=1.0,
    )
    scaled = joint.background * (1 / 0.83)
    assert ((scaled * 0.83).astype(np.float32) == joint.background).all()
