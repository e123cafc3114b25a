from dataclasses import replace

import pytest
from astropy.io import fits

from streamdiff.adapters.whole_file import write_whole
from streamdiff.app.output import ResultFiles, file_stem
from streamdiff.errors import StoreUnavailableError
from streamdiff.model import ExposureId, Outcome, Reason, Skip
from streamdiff.pipeline.filters import FilterReason, with_reason
from streamdiff.pipeline.result import VisitResult


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole_with_its_folder(tmp_path):
    write_whole(tmp_path / "a" / "b" / "x.fits", b"content")
    assert (tmp_path / "a" / "b" / "x.fits").read_bytes() == b"content"
    assert names(tmp_path / "a" / "b") == ["x.fits"]


def test_a_file_is_replaced(tmp_path):
    for content in (b"old", b"new"):
        write_whole(tmp_path / "x", content)
    assert (tmp_path / "x").read_bytes() == b"new"


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(path), "replace", full)
    with pytest.raises(StoreUnavailableError, match=r"x: can not be written: .*No sp"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["x"]


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        StoreUnavailableError, match=r"file/x\.fits: can not be written"
    ):
        write_whole(tmp_path / "file" / "x.fits", b"")


def test_files_are_named_after_the_exposure():
    exposure = ExposureId(instrument="SimCam", visit=7, detector=3, band="r")
    assert file_stem(exposure) == "SimCam_7_3"


def test_nothing_is_written_for_a_visit_that_was_skipped(tmp_path, visit):
    files = ResultFiles(directory=tmp_path, alerts=True, differences=True, qa=True)
    files.keep(VisitResult.skipped(visit(), Skip(Reason.NO_TEMPLATE)))
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("wanted", "written"),
    [
        ({"alerts": True, "differences": True}, ["SimCam_7_0.avro", "SimCam_7_0.fits"]),
        ({"alerts": True, "differences": False}, ["SimCam_7_0.avro"]),
        ({"alerts": False, "differences": True}, ["SimCam_7_0.fits"]),
        ({"alerts": False, "differences": False}, []),
        (
            {"alerts": False, "differences": False, "qa": True},
            ["SimCam_7_0_qa.fits", "SimCam_7_0_qa.png"],
        ),
        (
            {"alerts": False, "differences": False, "filtered": True},
            ["SimCam_7_0_filtered.fits"],
        ),
    ],
)
def test_what_is_wanted_is_written_again_and_again(
    tmp_path, processed, wanted, written
):
    files = ResultFiles(directory=tmp_path, **wanted)
    files.keep(processed)
    first = {name: (tmp_path / name).read_bytes() for name in written}
    files.keep(processed)
    assert names(tmp_path) == written
    assert {name: (tmp_path / name).read_bytes() for name in written} == first


def test_of_a_bad_difference_there_are_images_but_no_alerts(tmp_path, processed):
    failed = replace(
        processed, outcome=Outcome.FAILED, reason=Reason.BAD_SUBTRACTION, alerts=()
    )
    kinds = ("alerts", "differences", "qa", "filtered")
    ResultFiles(directory=tmp_path, **dict.fromkeys(kinds, True)).keep(failed)
    assert names(tmp_path) == [
        "SimCam_7_0.fits",
        "SimCam_7_0_qa.fits",
        "SimCam_7_0_qa.png",
    ]


def test_what_was_dropped_is_written_with_the_reason(tmp_path, processed):
    dropped = with_reason(processed.products.sources, FilterReason.LONG_TRAIL)
    assert len(dropped) > 0
    result = replace(processed, products=replace(processed.products, filtered=dropped))
    ResultFiles(
        directory=tmp_path, alerts=False, differences=False, filtered=True
    ).keep(result)
    with fits.open(tmp_path / "SimCam_7_0_filtered.fits") as hdus:
        rows = hdus["FILTERED"].data
        assert set(rows["filterReason"]) == {"long_trail"}
        assert rows["diaSourceId"].tolist() == dropped["diaSourceId"].tolist()


def test_without_a_folder_nothing_is_written(processed):
    ResultFiles(directory=None, alerts=True, differences=True).keep(processed)


@pytest.fixture(scope="module")
def processed(workbench, scene_files):
    """The result of a real subtraction, as if of visit 7."""
    result = workbench.subtract(scene_files["science"], scene_files["template"])
    event = replace(result.event, instrument="SimCam", visit=7, detector=0)
    return replace(result, event=event)
