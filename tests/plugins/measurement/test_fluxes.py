from dataclasses import replace

import numpy as np
import pytest

from streamdiff.model import FluxScale, MaskPlane
from streamdiff_measurement import ApertureFlux, ForcedFlux, PsfFlux


def pull_tolerance(n):
    """Three standard deviations of the standard deviation of n normal values."""
    return 3 / np.sqrt(2 * n)


def test_forced_fluxes_are_unbiased_and_their_errors_right(field, sources_at):
    images, places, flux = field
    found = ForcedFlux().measure(sources_at(*places), images)
    ratio = found["scienceFlux"] / flux
    weight = (flux / found["scienceFluxErr"]) ** 2
    bias = np.average(ratio, weights=weight) - 1
    # 8,100 stars of mean S/N 50 know a flux to 0.02 %.
    assert abs(bias) < 0.003
    pull = (found["scienceFlux"] - flux) / found["scienceFluxErr"]
    assert pull.size >= 8000
    assert pull.mean() == pytest.approx(0, abs=3 / np.sqrt(pull.size))
    assert pull.std() == pytest.approx(1, abs=0.03)


@pytest.fixture(scope="module")
def fitted(field, sources_at):
    """Return fluxes and positions, from the nearest pixels on."""
    images, places, _ = field
    return PsfFlux().measure(sources_at(*np.rint(places)), images)


def test_free_fluxes_are_larger_by_the_square_of_the_noise(field, fitted):
    _, _, flux = field
    bright = np.abs(flux) >= 60 * 10
    flux = flux[bright]
    nu = np.abs(flux) / fitted["psfFluxErr"][bright]
    excess = (fitted["psfFlux"][bright] / flux - 1) * nu
    # Each is 1 / nu, known to 1; and the pull is one of unit width around it.
    assert nu.size > 7000
    assert (excess - 1 / nu).mean() == pytest.approx(0, abs=3 / np.sqrt(nu.size))
    assert (excess - 1 / nu).std() == pytest.approx(1, abs=pull_tolerance(nu.size))


def test_position_errors_are_right(field, fitted):
    _, places, flux = field
    found = fitted
    bright = np.abs(flux) >= 60 * 10
    assert np.isfinite(found["xErr"][bright]).mean() > 0.999
    for name, truth in zip("xy", places, strict=True):
        pull = ((found[name] - truth) / found[f"{name}Err"])[found["snr"] > 20]
        assert np.nanmean(pull) == pytest.approx(0, abs=3.5 / np.sqrt(pull.size))
        assert np.nanstd(pull) == pytest.approx(1, abs=0.03)


def test_chi_squared_is_that_of_the_noise(field, sources_at):
    images, places, _ = field
    found = PsfFlux().measure(sources_at(*places), images)
    assert np.mean(found["psfChi2"] / found["psfNdata"]) == pytest.approx(1, abs=0.01)
    expected = -0.5 * (found["psfChi2"] + found["psfNdata"] * np.log(2 * np.pi * 100))
    assert found["psfLnL"] == pytest.approx(expected, rel=1e-5)


def test_aperture_fluxes_are_unbiased_and_their_errors_right(field, sources_at):
    images, places, flux = field
    found = ApertureFlux(radius=8.0).measure(sources_at(*places), images)
    pull = (found["apFlux"] - flux) / found["apFluxErr"]
    assert pull.mean() == pytest.approx(0, abs=3 / np.sqrt(pull.size))
    assert pull.std() == pytest.approx(1, abs=pull_tolerance(pull.size))


@pytest.mark.parametrize("radius", [2.0, 5.0, 12.0, 30.0])
def test_aperture_flux_is_made_whole(radius, observe, sources_at):
    x, y = np.array([100.3]), np.array([80.8])
    images = observe(x, y, 1e6, noise=1e-3)
    found = ApertureFlux(radius=radius).measure(sources_at(x, y), images)
    assert found["apFlux"] == pytest.approx(1e6, rel=1e-4)


def test_aperture_flux_is_made_whole_around_masked_pixels(observe, sources_at):
    x, y = np.array([100.0]), np.array([80.0])
    images = observe(x, y, 1e6, noise=1e-3)
    mask = images.difference.mask.copy()
    mask[81, 101] = MaskPlane.CR
    images = replace(images, difference=replace(images.difference, mask=mask))
    found = ApertureFlux().measure(sources_at(x, y), images)
    assert found["apFlux"] == pytest.approx(1e6, rel=1e-4)
    assert found["apFlux_flag_apertureTruncated"].all()


@pytest.mark.parametrize("measurer", [PsfFlux(), ApertureFlux()], ids=repr)
def test_covariance_factor_counts_in_the_error(measurer, observe, sources_at):
    x, y = np.array([100.0]), np.array([80.0])
    images = observe(x, y, 1e4)
    name = next(c.name for c in measurer.columns if c.name.endswith("FluxErr"))
    white = measurer.measure(sources_at(x, y), images)[name]
    factor = np.full(images.difference.shape, 4.0, np.float32)
    for covariance in (4.0, factor):
        difference = replace(images.difference, covariance_factor=covariance)
        correlated = measurer.measure(
            sources_at(x, y), replace(images, difference=difference)
        )[name]
        assert correlated == pytest.approx(2 * white)


def test_forced_fluxes_are_on_the_scale_of_the_difference(observe, sources_at):
    x, y = np.array([100.0]), np.array([80.0])
    images = observe(x, y, 1e6, noise=1e-3)
    images = replace(images, template=images.science)
    for scale, science, template in (
        (FluxScale.TEMPLATE, 5e5, 1e6),
        (FluxScale.SCIENCE, 1e6, 2e6),
    ):
        difference = replace(images.difference, flux_scale=scale, kernel_sum=2.0)
        found = ForcedFlux().measure(
            sources_at(x, y), replace(images, difference=difference)
        )
        assert found["scienceFlux"] == pytest.approx(science, rel=1e-4)
        assert found["templateFlux"] == pytest.approx(template, rel=1e-4)


def test_sources_at_the_edge_are_flagged_and_measured(observe, sources_at):
    x, y = np.array([1.0, 254.0, 128.0]), np.array([128.0, 0.4, 128.0])
    images = observe(x, y, 1e6, noise=1e-3)
    found = PsfFlux().measure(sources_at(x, y), images)
    assert found["psfFlux_flag_edge"].tolist() == [True, True, False]
    assert found["psfFlux"] == pytest.approx(1e6, rel=2e-3)


def test_sources_without_pixels_are_not_measured(observe, sources_at):
    x, y = np.array([60.0, 160.0]), np.array([60.0, 160.0])
    images = observe(x, y, 1e5)
    image, mask = images.difference.image.copy(), images.difference.mask.copy()
    image[30:90, 30:90], mask[30:90, 30:90] = np.nan, MaskPlane.NO_DATA
    image[158, 163] = np.inf
    images = replace(
        images, difference=replace(images.difference, image=image, mask=mask)
    )
    psf = PsfFlux().measure(sources_at(x, y), images)
    aperture = ApertureFlux().measure(sources_at(x, y), images)
    assert psf["psfFlux_flag"].tolist() == [True, False]
    assert psf["psfFlux_flag_noGoodPixels"].tolist() == [True, False]
    assert aperture["apFlux_flag"].tolist() == [True, False]
    assert np.isnan([psf["psfFlux"][0], psf["xErr"][0], aperture["apFlux"][0]]).all()
    assert np.isfinite([psf["psfFlux"][1], aperture["apFlux"][1]]).all()
    # What the finder knew is kept.
    assert (psf["x"][0], psf["y"][0], psf["snr"][0]) == (60, 60, 5)


def test_position_far_from_the_peak_is_not_believed(observe, sources_at):
    images = observe(np.array([100.0]), np.array([100.0]), 1e5)
    found = PsfFlux(max_shift=1.0).measure(
        sources_at(np.array([102.0]), np.array([100.0])), images
    )
    assert found["x"].tolist() == [102]
    assert np.isnan(found["xErr"]).all()


def test_misspelt_plane_is_refused():
    with pytest.raises(ValueError, match="no mask plane"):
        PsfFlux(exclude=("COSMIC",))
