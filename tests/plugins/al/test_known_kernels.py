"""Kernels that are known are found: rules D2 to D4, D6 to D9 of the reference."""

import numpy as np
import pytest
from scipy import signal

from streamdiff.model import MatchingKernel
from streamdiff.model.field import field_terms
from streamdiff.testing import GaussianProfile
from streamdiff_al.basis import alard_lupton_basis
from streamdiff_al.cutter import Cutter
from streamdiff_al.delta_basis import delta_basis
from streamdiff_al.fit import SpatialModel, constant_model
from streamdiff_al.normal_equations import NormalEquations
from streamdiff_al.pixels import Pixels
from streamdiff_al.psf_match import match_psfs
from streamdiff_al.regularise import Regularisation
from streamdiff_al.reject import RejectionRules, Residual, keep_matched

SIDE = 61
SHAPE = (SIDE, SIDE)
GAUSSIANS = alard_lupton_basis(11, (0.7, 1.5), (2, 1))
PIXELS = delta_basis(7)


def pixels(image, sigma=1e-3):
    return Pixels(
        image=image.astype(np.float32),
        variance=np.full(image.shape, sigma**2, np.float32),
        mask=np.zeros(image.shape, np.int32),
        usable=np.ones(image.shape, bool),
        saturated=np.zeros(image.shape, bool),
        no_data=np.zeros(image.shape, bool),
    )


def cut(image, basis, order=0, half=20, at=(SIDE // 2, SIDE // 2)):
    """Return the middle of an image, convolved, without a target yet."""
    return Cutter.of(
        pixels(np.zeros(image.shape)), pixels(image), basis, half=half, order=order
    ).cut(*at)


def with_target(cutout, target, sigma=1.0):
    return type(cutout)(
        terms=cutout.terms,
        target=target,
        convolved=cutout.convolved,
        target_variance=np.full(target.shape, sigma**2),
        source_variance=np.zeros_like(cutout.source_variance),
        usable=cutout.usable,
    )


def equations(model, cutouts):
    n_basis = model.n_basis
    variances = [c.target_variance for c in cutouts]
    return model.equations(cutouts, variances, np.zeros((n_basis, n_basis)))


def solve(cutout):
    """Return the kernel's coefficients and the background of one candidate."""
    model = constant_model(len(cutout.convolved), SHAPE)
    parameters, _ = equations(model, [cutout]).solve()
    return parameters[:-1], parameters[-1]


def delta_image():
    image = np.zeros(SHAPE)
    image[SIDE // 2, SIDE // 2] = 1
    return image


def white_image(seed=1):
    return np.random.default_rng(seed).normal(size=SHAPE)


@pytest.mark.parametrize("total", [1.0, 2.7])
@pytest.mark.parametrize("basis", [GAUSSIANS, PIXELS], ids=["gaussians", "pixels"])
def test_a_scaled_image_is_matched_by_a_scaled_delta_function(basis, total):
    # Gaussians make a delta function if one of them is that narrow.
    if basis is GAUSSIANS:
        basis = alard_lupton_basis(11, (0.1, 1.5), (0, 1))
    image = white_image()
    cutout = cut(image, basis)
    target = total * image[10:51, 10:51].astype(np.float32).astype(float) + 3
    coefficients, background = solve(with_target(cutout, target))
    kernel = np.tensordot(coefficients, basis, 1)
    expected = np.zeros_like(kernel)
    expected[kernel.shape[0] // 2, kernel.shape[1] // 2] = total
    assert kernel == pytest.approx(expected, abs=1e-5)
    assert kernel.sum() == pytest.approx(total, abs=1e-5)
    assert background == pytest.approx(3, abs=1e-4)


@pytest.mark.parametrize(("noise", "places"), [(0.0, 1e-7), (1.0, 1e-3)])
def test_a_known_kernel_is_found(noise, places):
    cutout = cut(1e3 * white_image(), GAUSSIANS)
    truth = np.zeros(len(GAUSSIANS))
    truth[[0, 3, 6]] = 1.3, 0.2, -0.1
    clean = np.tensordot(truth, cutout.convolved, 1) + 7
    noisy = clean + noise * np.random.default_rng(2).normal(size=clean.shape)
    coefficients, background = solve(with_target(cutout, noisy))
    # Noise of 1e-3 of the image, in some 1700 pixels.
    assert coefficients[0] == pytest.approx(1.3, abs=places)
    assert background == pytest.approx(7, abs=1e-4 if not noise else 0.1)
    kernel, expected = (np.tensordot(c, GAUSSIANS, 1) for c in (coefficients, truth))
    assert kernel == pytest.approx(expected, abs=places)


def gaussian(sigma, size):
    profile = np.exp(-0.5 * np.square((np.arange(size) - size // 2) / sigma))
    return np.outer(profile, profile) / profile.sum() ** 2


@pytest.mark.parametrize(
    ("noise", "places", "visible"), [(0.0, 1e-7, 1e-4), (1.0, 1e-3, 1e-2)]
)
def test_a_gaussian_kernel_is_found_pixel_by_pixel(noise, places, visible):  # D3
    basis = alard_lupton_basis(19, (0.7, 1.5, 3.0), (4, 3, 2))
    truth = 1.2 * gaussian(1.5, 19)
    image = 1e3 * white_image()
    cutout = cut(image, basis)
    clean = signal.fftconvolve(image.astype(np.float32)[1:60, 1:60], truth, "valid")
    noisy = clean + 5 + noise * np.random.default_rng(6).normal(size=clean.shape)
    coefficients, background = solve(with_target(cutout, noisy))
    kernel = np.tensordot(coefficients, basis, 1)
    assert kernel.sum() == pytest.approx(1.2, abs=places)
    assert background == pytest.approx(5, abs=1e-4 if not noise else 0.1)
    seen = truth > visible
    assert kernel[seen] / truth[seen] == pytest.approx(1, abs=0.01)


def star_image(seed):
    """Return ten stars of 2 px sigma, none of them at a whole pixel."""
    x, y = np.random.default_rng(seed).uniform(5, 56, (2, 10))
    v, u = np.mgrid[:SIDE, :SIDE]
    squares = (u - x[:, None, None]) ** 2 + (v - y[:, None, None]) ** 2
    return 1e4 * np.exp(-squares / 8).sum(axis=0)


def test_each_candidate_finds_the_kernel_that_all_of_them_find():  # D7
    basis = alard_lupton_basis(13, (3.0,), (3,))
    truth = np.array([1.1, 0.02, -0.01, 0.03, 0.01, -0.02, 0.02, 0.0, 0.01, -0.01])
    cutouts = []
    for seed in range(4):
        cutout = cut(star_image(seed), basis, half=24)
        target = np.tensordot(truth, cutout.convolved, 1) + 7
        cutouts.append(with_target(cutout, target))
    model = SpatialModel(
        n_basis=len(basis), kernel_order=0, background_order=0, image_shape=SHAPE
    )
    joint, _ = equations(model, cutouts).solve()
    assert joint == pytest.approx([*truth, 7], abs=1e-6)
    for cutout in cutouts:
        kernel, background = solve(cutout)
        assert [*kernel, background] == pytest.approx(joint, abs=1e-5)


@pytest.mark.parametrize("total", [1.0, 0.3, 2.7])
def test_free_pixels_find_a_gaussian(total):
    v, u = np.mgrid[:7, :7] - 3
    gaussian = np.exp(-0.5 * (u**2 + v**2))
    gaussian *= total / gaussian.sum()
    cutout = cut(delta_image(), PIXELS)
    target = np.pad(gaussian, 17)
    coefficients, background = solve(with_target(cutout, target))
    assert np.tensordot(coefficients, PIXELS, 1) == pytest.approx(gaussian, abs=1e-7)
    assert coefficients[0] == pytest.approx(total, abs=1e-7)
    assert background == pytest.approx(0, abs=1e-7)


def test_a_good_kernel_is_kept_and_a_wrong_one_rejected():
    rng = np.random.default_rng(3)
    cutout = cut(100 * delta_image(), PIXELS)
    sigma = np.sqrt(0.1)
    star = 100 * delta_image()[10:51, 10:51]
    target = star + sigma * rng.normal(size=star.shape)
    variance, usable = np.full(star.shape, 0.1), cutout.usable
    right = Residual.of(target - star, variance, usable)
    wrong = Residual.of(target - (star + 10), variance, usable)
    rules = RejectionRules(of_median=0.0)
    assert keep_matched([right, wrong], rules).tolist() == [True, False]


@pytest.mark.parametrize("constant_sum", [True, False])
def test_spatial_coefficients_are_found(constant_sum):
    order, n_terms = 2, 6
    model = SpatialModel(
        n_basis=len(GAUSSIANS),
        kernel_order=order,
        background_order=1,
        image_shape=(200, 200),
        constant_sum=constant_sum,
    )
    rng = np.random.default_rng(4)
    truth = rng.normal(size=(len(GAUSSIANS), n_terms))
    if constant_sum:
        truth[0, 1:] = 0
    image = rng.normal(size=(200, 200))
    cutouts = [
        cut(image, GAUSSIANS, order=order, half=10, at=(x, y))
        for x in range(20, 190, 40)
        for y in range(20, 190, 40)
    ]
    cutouts = [
        with_target(
            c, np.einsum("bt,tij,bij->ij", truth, c.terms, c.convolved) + 2 * c.terms[1]
        )
        for c in cutouts
    ]
    parameters, _ = equations(model, cutouts).solve()
    kernel = model.kernel(parameters, GAUSSIANS)
    assert kernel.coefficients == pytest.approx(truth, abs=1e-6)
    assert model.background(parameters) == pytest.approx([0, 2, 0], abs=1e-6)


def test_penalty_of_a_varying_kernel_is_the_sum_of_those_at_the_candidates():
    rng = np.random.default_rng(5)
    roughness = Regularisation().roughness(PIXELS)
    model = SpatialModel(
        n_basis=len(PIXELS),
        kernel_order=1,
        background_order=0,
        image_shape=SHAPE,
        constant_sum=False,
    )
    coefficients = rng.normal(size=(len(PIXELS), 3))
    kernel = MatchingKernel(basis=PIXELS, coefficients=coefficients, image_shape=SHAPE)
    places = [(3, 50), (40, 20), (30, 30)]
    terms = [field_terms(x, y, 1, SHAPE) for x, y in places]
    form = model.expand(roughness, sum(np.outer(t, t) for t in terms))
    expected = sum(w @ roughness @ w for w in (kernel.weights(*p) for p in places))
    parameters = coefficients.ravel()
    assert parameters @ form @ parameters == pytest.approx(expected)


def test_penalties_leave_the_background_alone():
    plain = NormalEquations(
        matrix=np.eye(3),
        noise=np.zeros((3, 3)),
        vector=np.ones(3),
        square=3.0,
        target_noise=0.0,
        n_pixels=9,
    )
    solution, _ = plain.penalised(3 * np.eye(2)).solve()
    assert solution == pytest.approx([0.25, 0.25, 1])


def test_model_psfs_are_matched_to_the_width_asked_for():
    narrow, wide = (GaussianProfile(fwhm=f).psf(SHAPE) for f in (3.0, 4.5))
    basis = alard_lupton_basis(21, (0.7, 1.4, 2.8), (4, 2, 2))
    kernel = match_psfs(narrow, wide, basis, SHAPE).kernel.at(30, 30)
    assert kernel.sum() == pytest.approx(1, abs=1e-7)
    v, u = np.mgrid[:21, :21] - 10
    # Variances of Gaussians add up.
    added = (4.5**2 - 3.0**2) / (8 * np.log(2))
    for offset in (u, v):
        assert (kernel * offset**2).sum() == pytest.approx(added, rel=0.01)


def test_psf_matched_to_a_model_has_the_width_asked_for():  # D9
    narrow, wide = (GaussianProfile(fwhm=f).psf(SHAPE) for f in (3.0, 4.5))
    basis = alard_lupton_basis(21, (0.7, 1.4, 2.8), (4, 2, 2))
    kernel = match_psfs(narrow, wide, basis, SHAPE).kernel.at(30, 30)
    matched = signal.fftconvolve(narrow.centred_at(30, 30), kernel)
    wanted = wide.centred_at(30, 30)
    for stamp in (matched, wanted):
        assert stamp.sum() == pytest.approx(1, abs=1e-7)
    margin = (matched.shape[0] - wanted.shape[0]) // 2
    inner = matched[margin:-margin, margin:-margin] if margin else matched
    assert inner == pytest.approx(wanted, abs=1e-4 * wanted.max())
