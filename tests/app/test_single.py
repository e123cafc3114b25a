import numpy as np
import pytest
from astropy.io import fits

from streamdiff.app.single import Workbench
from streamdiff.config import from_tree
from streamdiff.errors import (
    InvalidExposureError,
    PluginError,
    UnprocessableError,
    UnreadableImageError,
)
from streamdiff.model import Outcome, TemplateId

TEMPLATE = TemplateId(tract=0, patch=0, band="r")
TRANSIENTS = ((60, 70), (110, 40))


def found_near(result, x, y):
    sources = result.products.sources
    return np.hypot(sources["x"] - x, sources["y"] - y) < 1


@pytest.mark.parametrize("template", ["template", "turned"])
def test_what_is_new_is_found_whatever_the_grid_of_the_template(
    workbench, scene_files, template
):
    result = workbench.subtract(scene_files["science"], scene_files[template])
    assert result.outcome is Outcome.PROCESSED
    for position in TRANSIENTS:
        assert found_near(result, *position).sum() == 1
    assert len(result.alerts) == len(result.products.sources)


def test_the_event_of_a_file_is_that_of_its_header(workbench, scene_files):
    event = workbench.event(scene_files["science"])
    assert (event.visit, event.band) == (7, "r")
    assert event.image_uri == scene_files["science"].as_uri()
    assert len(event.image_sha256) == 64


def test_a_coadd_has_the_pixels_of_the_first_exposure(workbench, scene_files):
    paths = [scene_files[name] for name in ("template", "third", "turned")]
    coadd = workbench.coadd(paths, TEMPLATE, None)
    assert coadd.exposure.shape == (160, 160)
    assert coadd.exposure.id == TEMPLATE
    assert [item.accepted for item in coadd.inputs] == [True] * 3
    assert coadd.n_image.max() == 3


def test_a_coadd_can_have_the_pixels_of_another_file(workbench, scene_files):
    paths = [scene_files[name] for name in ("template", "third", "turned")]
    coadd = workbench.coadd(paths, TEMPLATE, scene_files["turned"])
    assert coadd.exposure.shape == (190, 190)


def test_files_that_name_no_visit_are_told_apart(workbench, scene_files, tmp_path):
    paths = [tmp_path / f"{name}.fits" for name in ("template", "third", "turned")]
    for path in paths:
        with fits.open(scene_files[path.stem]) as hdus:
            del hdus[0].header["VISIT"]
            hdus.writeto(path)
    coadd = workbench.coadd(paths, TEMPLATE, None)
    assert [item.id.visit for item in coadd.inputs] == [1, 2, 3]


def test_two_exposures_make_no_coadd_without_artifacts(workbench, scene_files):
    paths = [scene_files[name] for name in ("template", "third")]
    with pytest.raises(UnprocessableError, match="insufficient_epochs: 2 of 2"):
        workbench.coadd(paths, TEMPLATE, None)


def test_one_file_twice_is_no_coadd(workbench, scene_files):
    paths = [scene_files[name] for name in ("template", "third", "template")]
    with pytest.raises(InvalidExposureError, match="twice"):
        workbench.coadd(paths, TEMPLATE, None)


def test_a_file_that_is_not_there_is_named(workbench, scene_files, tmp_path):
    with pytest.raises(UnreadableImageError, match=r"nothing\.fits"):
        workbench.subtract(tmp_path / "nothing.fits", scene_files["template"])


def test_a_file_that_is_no_image_is_named(workbench, scene_files, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no image")
    with pytest.raises(UnreadableImageError, match=r"notes\.txt"):
        workbench.subtract(scene_files["science"], path)


def test_a_file_without_an_identity_can_not_be_announced(
    workbench, scene_files, tmp_path
):
    path = tmp_path / "anonymous.fits"
    with fits.open(scene_files["science"]) as hdus:
        del hdus[0].header["VISIT"]
        hdus.writeto(path)
    with pytest.raises(InvalidExposureError, match="VISIT"):
        workbench.event(path)
    assert workbench.event(path, lenient=True).visit == 0


def test_nothing_that_overlaps_is_no_coadd(workbench, scene_files, tmp_path):
    elsewhere = tmp_path / "elsewhere.fits"
    with fits.open(scene_files["template"]) as hdus:
        for hdu in hdus:
            if "CRVAL2" in hdu.header:
                hdu.header["CRVAL2"] += 1
        hdus.writeto(elsewhere)
    with pytest.raises(UnprocessableError, match="no_valid_pixels"):
        workbench.coadd([elsewhere], TEMPLATE, scene_files["template"])


@pytest.mark.parametrize(
    ("pipeline", "error", "told"),
    [
        ({"subtract": "hotpants"}, PluginError, "hotpants"),
        ({"read": "none"}, PluginError, "'none'"),
    ],
)
def test_a_plugin_that_can_not_be_used_is_named(
    workbench, scene_files, pipeline, error, told
):
    bench = Workbench(
        settings=from_tree({"pipeline": pipeline}), registry=workbench.registry
    )
    with pytest.raises(error, match=told):
        bench.subtract(scene_files["science"], scene_files["template"])
