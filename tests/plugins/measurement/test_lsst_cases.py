"""What LSST's own tests of its measurements assert, with their numbers and tighter."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import KDTree

from streamdiff.model import DETECTION_COLUMNS
from streamdiff.model.psf import FWHM_PER_SIGMA
from streamdiff.testing import PointSource
from streamdiff_detection import ScorePeaksFinder
from streamdiff_measurement import ApertureFlux, Dipole, PsfFlux

PIXEL = 0.2


def stars(places, flux):
    return [PointSource(*star) for star in zip(*places, flux, strict=True)]


@pytest.fixture(scope="module")
def rolled(observe_both):
    """Return E6: ten stars that are 1 px lower on the template, and their fluxes."""
    rng = np.random.default_rng(6)
    places = np.mgrid[60:260:50, 60:260:50].reshape(2, -1)[:, :10]
    places = places + rng.uniform(-0.5, 0.5, places.shape)
    flux = rng.uniform(1000, 1500, 10)
    below = places - np.array([[0], [1]])
    fwhm = 2.4 * FWHM_PER_SIGMA
    pair = stars(places, flux), stars(below, flux)
    return observe_both(*pair, fwhm=fwhm, noise=(1.0, 0.25)), places, flux


def test_e6_dipoles_of_a_rolled_template(rolled):
    images, places, flux = rolled
    difference, sources = ScorePeaksFinder().find(images.difference)
    images = replace(images, difference=difference)
    assert len(sources) == 10
    sources = sources.with_columns(
        PsfFlux().columns, PsfFlux().measure(sources, images)
    )
    found = Dipole().measure(sources, images)
    assert found["isDipole"].all()
    assert not found["dipole_flag"].any()
    # LSST allows 10 % and 2 rad; here, 10 degrees.
    assert found["dipoleLength"] == pytest.approx(np.full(10, PIXEL), rel=0.1)
    # The positive lobe is to the north.
    assert (found["dipoleAngle"] + 180) % 360 - 180 == pytest.approx(0, abs=10)

    x, y = (
        (found[f"dipolePos{axis}"] + found[f"dipoleNeg{axis}"]) / 2 for axis in "XY"
    )
    distance, star = KDTree(places.T).query(np.column_stack([x, y + 0.5]))
    assert sorted(star) == list(range(10))
    assert distance.max() < 0.1
    around = sources.with_columns(DETECTION_COLUMNS[:2], {"x": x, "y": y})
    aperture = ApertureFlux().measure(around, images)
    # 5 % of the star, and four errors of the noise of 450 pixels.
    limit = 0.05 * flux[star] + 4 * aperture["apFluxErr"]
    assert (np.abs(aperture["apFlux"]) < limit).all()


@pytest.fixture(scope="module")
def far_lobes(observe_both):
    """Return E7: two stars 2 px each way from a middle, on a sloping sky."""
    middle, step, flux = np.array([[50.3, 80.2], [40.1, 70.0]]), 2.0, [2500.0, 2345.0]
    images = observe_both(
        stars(middle + step, flux),
        stars(middle - step, flux),
        fwhm=2 * FWHM_PER_SIGMA,
        noise=(2.0, 2.0),
    )
    y, x = np.mgrid[:1024, :1024]
    sky = (10 + 3 * x + 5 * y).astype(np.float32)
    science, template = (
        replace(image, image=image.image + sky)
        for image in (images.science, images.template)
    )
    return (
        replace(images, science=science, template=template),
        middle,
        step,
        np.array(flux),
    )


LOBES = {"Pos": 1, "Neg": -1}


def test_e7_lobes_of_a_dipole(far_lobes, sources_at):
    images, middle, step, flux = far_lobes
    found = Dipole().measure(sources_at(*(middle + step)), images)
    assert found["isDipole"].all()
    for lobe, way in LOBES.items():
        # LSST allows 1 %; with a noise of 2 in each image, a S/N of 150, that is one
        # and a half errors.
        assert found[f"dipole{lobe}Flux"] == pytest.approx(flux, rel=0.02)
        for axis, centre in zip("XY", middle + way * step, strict=True):
            position, error = (
                found[f"dipole{lobe}{axis}{suffix}"] for suffix in ("", "Err")
            )
            assert position == pytest.approx(centre, rel=0.01)
            assert (np.abs(position - centre) < 4 * error).all()
            # Of a Gaussian, sigma * sqrt(2) over the S/N of the flux.
            snr = found[f"dipole{lobe}Flux"] / found[f"dipole{lobe}FluxErr"]
            assert error == pytest.approx(2 * np.sqrt(2) / snr, rel=0.35)


def test_e7_fluxes_of_many_lobes_are_right_within_a_percent(observe_both, sources_at):
    places = np.mgrid[50:1000:80, 50:1000:80].reshape(2, -1)
    flux = np.full(places.shape[1], 2500.0)
    images = observe_both(
        stars(places + 2, flux),
        stars(places - 2, flux),
        fwhm=2 * FWHM_PER_SIGMA,
        noise=(2.0, 2.0),
    )
    found = Dipole().measure(sources_at(*(places + 2.0)), images)
    assert found["isDipole"].all()
    for lobe in LOBES:
        error = found[f"dipole{lobe}FluxErr"]
        pulls = (found[f"dipole{lobe}Flux"] - flux) / error
        # LSST's 1 % is 1.54 errors here: 88 % of 144, less three of their own.
        assert np.mean(np.abs(pulls * error / flux) < 0.01) > 0.79
        # The mean of 144 has a twelfth of the error of one.
        assert np.mean(found[f"dipole{lobe}Flux"]) == pytest.approx(2500, rel=0.002)
        assert np.std(pulls) == pytest.approx(1, abs=0.2)


def test_e7_without_the_images_before_the_subtraction(far_lobes, sources_at):
    images, middle, step, flux = far_lobes
    found = Dipole(image_weight=0.0).measure(sources_at(*(middle + step)), images)
    assert found["isDipole"].all()
    for lobe, way in LOBES.items():
        assert found[f"dipole{lobe}Flux"] == pytest.approx(flux, rel=0.5)
        for axis, centre in zip("XY", middle + way * step, strict=True):
            assert found[f"dipole{lobe}{axis}"] == pytest.approx(centre, rel=0.5)


def test_e9_large_footprints_are_not_fitted(far_lobes, sources_at):
    images, middle, step, _ = far_lobes
    sources = sources_at(*(middle + step))
    area = sources.columns[-1]
    assert area.name == "footprintArea"
    large = sources.with_columns([area], {"footprintArea": [750, 60]})
    found = Dipole(max_area=500).measure(large, images)
    assert found["dipole_flag"].tolist() == [True, False]
    assert found["isDipole"].tolist() == [False, True]
    assert found["dipoleFitAttempted"].tolist() == [False, True]
