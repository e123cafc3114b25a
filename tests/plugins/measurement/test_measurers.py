from dataclasses import replace

import numpy as np
import pytest

from streamdiff.adapters.avro.schemas import load
from streamdiff.model import DETECTION_COLUMNS, DiaSources, MaskPlane
from streamdiff.stages import Images
from streamdiff.testing import GaussianProfile, MoffatProfile, VaryingProfile
from streamdiff_measurement import (
    ApertureFlux,
    Centroid,
    Dipole,
    Extendedness,
    ForcedFlux,
    Glint,
    LocalCalibration,
    PixelFlags,
    PsfFlux,
    SourceMoments,
    Trail,
    streamdiff_measurers,
)

MEASURERS = [factory() for factory in streamdiff_measurers().values()]
every_measurer = pytest.mark.parametrize("measurer", MEASURERS, ids=repr)


@every_measurer
def test_columns_are_those_declared(measurer, observe, sources_at):
    x = np.array([60.0, 100.0])
    sources = sources_at(x, x)
    found = measurer.measure(sources, observe(x, x, 1e4))
    assert {c.name for c in measurer.columns} == set(found)
    assert all(np.shape(values) == (2,) for values in found.values())
    assert all(column.doc for column in measurer.columns)


@every_measurer
def test_no_source_has_no_measurement(measurer, observe):
    nothing = np.zeros(0)
    table = DiaSources.empty()
    found = measurer.measure(table, observe(nothing, nothing, 0.0))
    assert len(table.with_columns(measurer.columns, found)) == 0


@every_measurer
@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (32, 17)])
def test_tiny_images_are_measured(measurer, shape, observe, sources_at):
    nothing, corner = np.zeros(0), np.array([0.0])
    images = observe(nothing, nothing, 0.0, shape=shape)
    found = measurer.measure(sources_at(corner, corner), images)
    assert all(len(values) == 1 for values in found.values())


@every_measurer
def test_varying_psf_is_measured(measurer, observe, sources_at):
    profile = VaryingProfile(middle=MoffatProfile(fwhm=4.0))
    x, y = np.array([60.2, 200.7]), np.array([190.4, 30.0])
    images = observe(x, y, 1e6, noise=1.0, profile=profile)
    found = measurer.measure(sources_at(x, y), images)
    for name in {"psfFlux", "scienceFlux"} & set(found):
        assert found[name] == pytest.approx(1e6, rel=0.003)


def test_sky_positions_are_those_of_the_wcs(observe, sources_at):
    x, y = np.array([60.2, 200.7]), np.array([190.4, 30.0])
    images = observe(x, y, 1e6)
    found = Centroid().measure(sources_at(np.rint(x), np.rint(y)), images)
    sky = images.difference.wcs.pixel_to_world(x, y)
    # A hundredth of a pixel of 0.2 arcsec.
    assert found["ra"] == pytest.approx(sky.ra.deg, abs=6e-7)
    assert found["dec"] == pytest.approx(sky.dec.deg, abs=6e-7)
    assert not found["centroid_flag"].any()


def test_sky_errors_follow_from_those_in_pixels(observe, sources_at):
    x = np.array([100.0])
    found = Centroid().measure(sources_at(x, x), observe(x, x, 1e4))
    scale = 0.2 / 3600
    assert found["decErr"] == pytest.approx(scale * found["yErr"], rel=1e-3)
    at_dec = np.cos(np.radians(found["dec"]))
    assert found["raErr"] * at_dec == pytest.approx(scale * found["xErr"], rel=1e-3)


def test_errors_are_right_across_the_meridian(observe, sources_at):
    x = np.array([100.0])
    images = observe(x, x, 1e4)
    wcs = images.difference.wcs.deepcopy()
    wcs.wcs.crval = [0.0, -12.0]
    wcs.wcs.crpix = [101.0, 101.0]
    moved = replace(images, difference=replace(images.difference, wcs=wcs))
    expected = Centroid().measure(sources_at(x, x), images)["raErr"]
    found = Centroid().measure(sources_at(x, x), moved)["raErr"]
    assert found == pytest.approx(expected, rel=1e-3)


def test_centroid_takes_the_position_of_the_psf_flux(observe, sources_at):
    x = np.array([100.4])
    images = observe(x, x, 1e4)
    sources = sources_at(np.rint(x), np.rint(x))
    fitted = PsfFlux().measure(sources, images)
    after = Centroid().measure(sources.with_columns(PsfFlux().columns, fitted), images)
    alone = Centroid().measure(sources, images)
    assert after["x"] == alone["x"] == fitted["x"]


def test_failed_fit_is_flagged(observe, sources_at):
    x = np.array([100.0, 20.0])
    images = observe(x[:1], x[:1], 1e4)
    image = images.difference.image.copy()
    image[:60, :60] = np.nan
    images = replace(images, difference=replace(images.difference, image=image))
    found = Centroid().measure(sources_at(x, x), images)
    assert found["centroid_flag"].tolist() == [False, True]
    assert np.isnan(found["raErr"]).tolist() == [False, True]
    assert np.isfinite(found["ra"]).all()


def test_flags_tell_footprint_from_centre(observe, sources_at):
    x = np.array([100.0, 104.0, 110.0])
    images = observe(np.zeros(0), np.zeros(0), 0.0)
    mask = images.difference.mask.copy()
    mask[100, 101] = MaskPlane.SAT | MaskPlane.STREAK
    images = replace(
        images,
        difference=replace(images.difference, mask=mask),
        science=replace(images.science, mask=mask),
    )
    found = PixelFlags().measure(sources_at(x, np.full(3, 100.0)), images)
    assert found["pixelFlags_saturated"].tolist() == [True, True, False]
    assert found["pixelFlags_saturatedCenter"].tolist() == [True, False, False]
    assert found["pixelFlags_streak"].tolist() == [True, True, False]
    assert not found["pixelFlags_cr"].any()


def test_saturation_of_the_template_is_not_that_of_the_science_image(
    observe, sources_at
):
    x = np.array([100.0])
    images = observe(np.zeros(0), np.zeros(0), 0.0)
    mask = images.difference.mask.copy()
    mask[100, 100] = MaskPlane.SAT | MaskPlane.SAT_TEMPLATE
    images = replace(images, difference=replace(images.difference, mask=mask))
    found = PixelFlags().measure(sources_at(x, x), images)
    assert not found["pixelFlags_saturated"].any()
    assert found["pixelFlags_sat_template"].all()


@pytest.mark.parametrize("flux", [1e6, -1e6])
def test_moments_of_a_point_source_are_those_of_the_psf(flux, observe, sources_at):
    x, y = np.array([60.2, 200.7]), np.array([190.4, 30.0])
    profile = GaussianProfile(fwhm=5.0, ellipticity=0.3, angle=30)
    images = observe(x, y, flux, noise=1.0, profile=profile)
    sources = sources_at(x, y, negative=flux < 0)
    found = SourceMoments().measure(sources, images)
    # Along the diagonal between +x and +y, in pixels of 0.2 arcsec.
    area = 25 / (8 * np.log(2)) * 0.2**2
    determinant = found["ixx"] * found["iyy"] - found["ixy"] ** 2
    assert determinant == pytest.approx(area**2, rel=0.02)
    assert (found["ixy"] > 0).all()
    for name in ("ixx", "iyy", "ixy"):
        assert found[name] == pytest.approx(found[f"{name}PSF"], rel=0.01)


def test_errors_of_moments_are_right(field, sources_at):
    images, places, flux = field
    few = slice(0, 4000)
    sources = sources_at(*places[:, few]).with_columns(
        DETECTION_COLUMNS[3:4], {"isNegative": flux[few] < 0}
    )
    found = SourceMoments().measure(sources, images)
    bright = np.abs(flux[few]) > 60 * 30
    for name in ("ixx", "iyy", "ixy"):
        pull = (found[name] - found[f"{name}PSF"]) / found[f"{name}Err"]
        # Of 3,100 values a deviation is known to 1.3 %. Beyond it, at a S/N of 30
        # the errors, which are of first order, are 5 % off.
        assert pull[bright].std() == pytest.approx(1, abs=3 * 0.013 + 0.05)


def test_stars_are_not_extended(observe, sources_at):
    x, y = np.array([60.2, 200.7]), np.array([190.4, 30.0])
    images = observe(x, y, 1e6, noise=1.0)
    found = Extendedness().measure(sources_at(x, y), images)
    assert found["extendedness"] == pytest.approx(0, abs=0.01)


def test_galaxies_are_extended(observe, sources_at):
    x = np.array([100.0])
    wide = observe(x, x, 1e6, noise=1.0, fwhm=8.0)
    narrow = GaussianProfile(fwhm=4.0).psf((256, 256))
    images = replace(wide, science=replace(wide.science, psf=narrow))
    found = Extendedness().measure(sources_at(x, x), images)
    # A quarter of its area is that of a star.
    assert found["extendedness"] == pytest.approx(0.75, abs=0.05)


def test_what_is_not_on_the_science_image_is_neither(observe, sources_at):
    images = observe(np.zeros(0), np.zeros(0), 0.0)
    x = np.array([100.0])
    found = Extendedness().measure(sources_at(x, x, negative=True), images)
    assert np.isnan(found["extendedness"]).all()


@pytest.mark.parametrize("photometric", [True, False])
def test_local_calibration_is_that_of_the_difference(photometric, observe, sources_at):
    x, y = np.array([60.2, 200.7]), np.array([190.4, 30.0])
    images = observe(x, y, 1e4)
    difference = replace(images.difference, photometric=photometric)
    found = LocalCalibration().measure(
        sources_at(x, y), replace(images, difference=difference)
    )
    assert (found["localPhotoCalib"] == 1).all() == photometric
    assert np.isnan(found["localPhotoCalib"]).any() != photometric
    assert found["pixelScale"] == pytest.approx(0.2, rel=1e-6)
    # North is up and east is left, but for what the projection turns.
    matrix = [[found[f"localWcs_CDMatrix_{i}_{j}"] for j in (1, 2)] for i in (1, 2)]
    expected = np.array([[-1, 0], [0, 1]])[..., np.newaxis] * 0.2 / 3600
    assert np.abs(matrix - expected).max() < 1e-5 * 0.2


@pytest.mark.parametrize("dec", [0.0, 89.9999, -90.0])
def test_local_calibration_holds_at_the_poles(dec, observe, sources_at):
    x = np.array([100.0])
    images = observe(x, x, 1e4)
    wcs = images.difference.wcs.deepcopy()
    wcs.wcs.crval = [0.0, dec]
    moved = replace(images, difference=replace(images.difference, wcs=wcs))
    found = LocalCalibration().measure(sources_at(x, x), moved)
    assert found["pixelScale"] == pytest.approx(0.2, rel=1e-5)


@every_measurer
def test_unusable_pixels_are_survived(measurer, observe, sources_at):
    x = np.array([0.0, 255.0, 60.0, 100.0, 200.0, 128.0])
    y = np.array([0.0, 128.0, 60.0, 100.0, 200.0, 255.4])
    images = observe(x, y, 1e5)
    image, mask = images.difference.image.copy(), images.difference.mask.copy()
    variance = images.difference.variance.copy()
    image[40:80, 40:80], mask[80:120, 80:120] = np.nan, MaskPlane.NO_DATA
    variance[180:220, 180:201], image[0, :] = np.inf, np.inf
    planes = {"image": image, "variance": variance, "mask": mask}
    images = Images(
        difference=replace(images.difference, **planes),
        science=replace(images.science, **planes),
        template=replace(images.template, **planes),
    )
    found = measurer.measure(sources_at(x, y), images)
    table = sources_at(x, y).with_columns(measurer.columns, found)
    assert len(table) == 6


def test_every_column_has_a_field_in_alerts():
    columns = [column.name for measurer in MEASURERS for column in measurer.columns]
    fields = {field["name"] for field in load("diaSource")["fields"]}
    assert set(columns) <= fields


def test_position_off_the_image_is_flagged(observe, sources_at):
    images = observe(np.zeros(0), np.zeros(0), 0.0)
    x = np.array([-0.4, -0.6, 255.4, 255.6])
    found = PixelFlags().measure(sources_at(x, np.full(4, 9.0)), images)
    assert found["pixelFlags_offimage"].tolist() == [False, True, False, True]


def test_built_in_names_are_those_of_the_configuration():
    assert streamdiff_measurers() == {
        "aperture_flux": ApertureFlux,
        "centroid": Centroid,
        "dipole": Dipole,
        "extendedness": Extendedness,
        "forced_flux": ForcedFlux,
        "glint": Glint,
        "local_calibration": LocalCalibration,
        "moments": SourceMoments,
        "pixel_flags": PixelFlags,
        "psf_flux": PsfFlux,
        "trail": Trail,
    }
