"""Dipoles are told from transients, and their lobes are measured."""

from dataclasses import replace

import numpy as np
import pytest

from streamdiff.model import DETECTION_COLUMNS, MaskPlane
from streamdiff.testing import Galaxy, PointSource
from streamdiff_measurement import Dipole, PsfFlux

PIXEL = 0.2
FWHM = 3.5


def grid(seed=0, spacing=42):
    """Return 576 places and a generator; x and y, shape (2, n)."""
    rng = np.random.default_rng(seed)
    places = np.mgrid[30:1000:spacing, 30:1000:spacing].reshape(2, -1)[::-1]
    return places + rng.uniform(-0.5, 0.5, places.shape), rng


def stars(places, flux):
    return [PointSource(*star) for star in zip(*places, flux, strict=True)]


def detected(images, places, sources_at, *, reach):
    """Return the peaks of both signs above 5 sigma near places, and of which.

    Positions are those that a fit of a point source gives, as in the pipeline.
    """
    difference = images.difference
    psf = difference.psf.centred_at(0, 0)
    filtered, noise = (
        np.fft.irfft2(np.fft.rfft2(plane) * np.fft.rfft2(kernel, plane.shape))
        for plane, kernel in (
            (difference.image, psf),
            (difference.variance, psf**2),
        )
    )
    # The middle of a kernel is not its first pixel.
    half = psf.shape[0] // 2
    score = np.roll(filtered / np.sqrt(noise), (-half, -half), (0, 1))
    rows = []
    for index, (x, y) in enumerate(np.rint(places).astype(int).T):
        near = score[y - reach : y + reach + 1, x - reach : x + reach + 1]
        for sign in (1, -1):
            dy, dx = np.unravel_index((sign * near).argmax(), near.shape)
            if sign * near[dy, dx] > 5:
                rows.append((index, x - reach + dx, y - reach + dy, sign < 0))
    index, x, y, negative = np.array(rows).T
    sources = sources_at(x.astype(float), y.astype(float)).with_columns(
        DETECTION_COLUMNS[3:4], {"isNegative": negative.astype(bool)}
    )
    fitted = PsfFlux().measure(sources, images)
    return sources.with_columns(PsfFlux().columns, fitted), index


def angle_between(a, b):
    return (a - b + 180) % 360 - 180


@pytest.fixture(scope="module")
def moved_stars(observe_both, sources_at):
    """Return what the measurer finds, and what there is, of 576 moved stars."""
    places, rng = grid()
    n = places.shape[1]
    separation, turn = rng.uniform(0.2, 1.5, n), rng.uniform(0, 2 * np.pi, n)
    flux = 10 ** rng.uniform(3, 5, n)
    step = separation * np.array([np.cos(turn), np.sin(turn)])
    pair = stars(places + step / 2, flux), stars(places - step / 2, flux)
    images = observe_both(*pair, fwhm=FWHM)
    sources, index = detected(images, places, sources_at, reach=6)
    found = Dipole().measure(sources, images)
    # What is left of a star that moved by much less than its width.
    nea = 4 * np.pi * (FWHM / np.sqrt(8 * np.log(2))) ** 2
    slope = separation / (np.sqrt(2) * FWHM / np.sqrt(8 * np.log(2)))
    snr = flux * slope / np.sqrt(125 * nea)
    # North is up and east is left.
    bearing = np.degrees(np.arctan2(-step[0], step[1]))
    truth = {"flux": flux, "snr": snr, "length": separation, "bearing": bearing}
    return found, {name: values[index] for name, values in truth.items()}


def test_moved_stars_are_dipoles(moved_stars):
    found, truth = moved_stars
    called = found["isDipole"][truth["snr"] >= 10]
    assert called.size > 500
    assert called.mean() >= 0.95


def pulls(moved_stars, name, difference):
    """Return the pulls of secure dipoles; each is there once or twice."""
    found, truth = moved_stars
    secure = found["isDipole"] & (truth["snr"] >= 10)
    return (difference / found[f"{name}Err"])[secure]


@pytest.mark.parametrize(
    ("name", "truth"),
    [
        ("dipoleMeanFlux", "flux"),
        ("dipoleLength", "length"),
        ("dipoleAngle", "bearing"),
    ],
)
def test_lobes_are_unbiased_and_their_errors_right(moved_stars, name, truth):
    found, true = moved_stars
    scale = PIXEL if truth == "length" else 1
    difference = found[name] - scale * true[truth]
    if truth == "bearing":
        difference = angle_between(found[name], true[truth])
    pull = pulls(moved_stars, name, difference)
    # Of 500 independent values, the mean is known to 0.045, the width to 0.032;
    # errors of lengths are of first order, 5 % off at a S/N of 10.
    assert np.median(pull) == pytest.approx(0, abs=4 * 0.045)
    assert pull.std() == pytest.approx(1, abs=3 * 0.032 + 0.05)


def test_constant_stars_have_no_net_flux(moved_stars):
    found, _ = moved_stars
    pull = pulls(moved_stars, "dipoleFluxDiff", found["dipoleFluxDiff"])
    assert pull.mean() == pytest.approx(0, abs=4 * 0.045)
    assert pull.std() == pytest.approx(1, abs=3 * 0.032 + 0.05)


def test_chi_squared_of_dipoles_is_that_of_the_noise(moved_stars):
    found, _ = moved_stars
    fitted = found["isDipole"]
    ratio = (found["dipoleChi2"] / found["dipoleNdata"])[fitted]
    # 841 pixels each: nine parameters take 1 %.
    assert ratio.mean() == pytest.approx(0.99, abs=0.01)


@pytest.mark.parametrize(
    ("hosts", "misregistration"), [(False, 0.0), (True, 0.0), (True, 0.2)]
)
def test_transients_are_no_dipoles(hosts, misregistration, observe_both, sources_at):
    places, rng = grid(seed=1)
    n = places.shape[1]
    # 60 nJy have a S/N of 1, about.
    flux = 60 * 10 ** rng.uniform(0.85, 2, n) * rng.choice([-1, 1], n)
    # Hosts are up to thirty times as bright as the transient.
    host = np.abs(flux) * 10 ** rng.uniform(-0.5, 1.5, n)
    offset = rng.normal(0, 2, (2, n))
    shape = np.transpose(
        [rng.uniform(1, 6, n), rng.uniform(0.3, 1, n), rng.uniform(0, 180, n)]
    )
    step = misregistration * np.array([[0.6], [0.8]])

    def sky(moved, sign):
        galaxies = [
            Galaxy(*place, size, *form)
            for place, size, form in zip((moved + offset).T, host, shape, strict=True)
        ]
        change = stars(moved, np.maximum(sign * flux, 0))
        return change + (galaxies if hosts else [])

    images = observe_both(sky(places, 1), sky(places - step, -1), fwhm=FWHM)
    sources, index = detected(images, places, sources_at, reach=3)
    near = np.hypot(*(np.array([sources["x"], sources["y"]]) - places[:, index])) < 2
    near &= sources["isNegative"] == (flux[index] < 0)
    assert near.sum() > 500
    called = Dipole().measure(sources.take(near), images)["isDipole"]
    assert called.mean() <= 0.01


def test_variable_stars_that_moved_are_no_dipoles(observe_both, sources_at):
    places, _ = grid(spacing=120)
    images = observe_both(
        stars(places + 0.25, np.full(places.shape[1], 1.1e5)),
        stars(places - 0.25, np.full(places.shape[1], 1e5)),
        fwhm=FWHM,
    )
    sources, _ = detected(images, places, sources_at, reach=6)
    assert Dipole(max_net=10.0).measure(sources, images)["isDipole"].any()
    assert not Dipole().measure(sources, images)["isDipole"].any()


def test_far_lobes_are_measured(observe_both, sources_at):
    # As LSST's test of its dipole fitter: 2 px diagonally each, two fluxes, a
    # slope of the sky, a PSF of 2 px sigma and a noise of 2.
    middle, step = np.array([[50.3, 80.2], [40.1, 70.0]]), 2.0
    images = observe_both(
        stars(middle + step, [2500.0, 2345.0]),
        stars(middle - step, [2500.0, 2345.0]),
        fwhm=2 * np.sqrt(8 * np.log(2)),
        noise=(1.0, 1.0),
    )
    y, x = np.mgrid[:1024, :1024]
    sky = (10 + 3 * x + 5 * y).astype(np.float32)
    images = replace(
        images,
        science=replace(images.science, image=images.science.image + sky),
        template=replace(images.template, image=images.template.image + sky),
    )
    found = Dipole().measure(sources_at(*(middle + step)), images)
    assert found["isDipole"].all()
    assert found["dipoleMeanFlux"] == pytest.approx([2500, 2345], rel=0.01)
    assert found["dipoleLength"] == pytest.approx(PIXEL * 4 * np.sqrt(2), rel=0.02)
    # To the upper right, where the west is.
    assert angle_between(found["dipoleAngle"], -45) == pytest.approx(0, abs=2)


def test_flux_scale_of_the_difference_is_that_of_dipoles(observe_both, sources_at):
    place = np.array([[100.0], [80.0]])
    images = observe_both(stars(place, [2e4]), stars(place - 0.5, [1e4]), fwhm=FWHM)
    image = 0.5 * images.science.image - images.template.image
    difference = replace(images.difference, image=image, kernel_sum=2.0)
    found = Dipole().measure(
        sources_at(*place + 1), replace(images, difference=difference)
    )
    assert found["isDipole"].all()
    assert found["dipoleMeanFlux"] == pytest.approx(1e4, rel=0.02)


def test_dipoles_of_masked_images_are_told_by_the_difference(observe_both, sources_at):
    place = np.array([[100.0], [80.0]])
    images = observe_both(stars(place, [1e5]), stars(place - 0.5, [1e5]), fwhm=FWHM)
    bad = np.full(images.science.mask.shape, MaskPlane.BAD)
    masked = replace(
        images,
        science=replace(images.science, mask=bad),
        template=replace(images.template, mask=bad),
    )
    found = Dipole().measure(sources_at(*place + 1), masked)
    assert found["isDipole"].all()


@pytest.mark.parametrize("planes", ["empty", "constant"])
def test_nothing_is_no_dipole(planes, observe_both, sources_at):
    images = observe_both([], [], fwhm=FWHM)
    image = np.full((1024, 1024), 0.0 if planes == "empty" else 1e6, np.float32)
    difference = replace(images.difference, image=image)
    x = np.array([100.0, 0.0])
    found = Dipole().measure(sources_at(x, x), replace(images, difference=difference))
    assert not found["isDipole"].any()
