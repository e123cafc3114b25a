"""``subtract`` and ``coadd``: files in, files out."""

import json

import pytest
from astropy.io import fits
from astropy.table import Table

from streamdiff.adapters.avro.container import read_alerts


@pytest.fixture(scope="module")
def epochs(images):
    return [images[f"epoch{n}"] for n in range(1, 4)]


def test_a_difference_and_its_alerts_are_written(run, images, tmp_path):
    output, alerts = tmp_path / "new" / "d.fits", tmp_path / "a.avro"
    end = run(
        "subtract",
        images["science"],
        images["epoch1"],
        "-o",
        output,
        "--alerts",
        alerts,
    )
    assert (end.code, end.err) == (0, "")
    found = list(read_alerts(alerts))
    assert end.out.startswith(f"{output}: {len(found)} DiaSources, kernel sum ")
    near = [
        a
        for a in found
        if abs(a["diaSource"]["x"] - 60) < 1 and abs(a["diaSource"]["y"] - 70) < 1
    ]
    assert len(near) == 1
    with fits.open(output) as hdus:
        names = [hdu.name for hdu in hdus]
        assert hdus["IMAGE"].data.shape == (160, 160)
    assert {"IMAGE", "VARIANCE", "MASK", "PSF"} < set(names)


def test_a_difference_is_told_to_programs(run, images, tmp_path):
    output = tmp_path / "d.fits"
    end = run("subtract", images["science"], images["epoch1"], "-o", output, "--json")
    told = json.loads(end.out)
    assert (end.code, told["output"], told["warning"]) == (0, str(output), None)
    assert told["n_alerts"] >= 1
    assert told["kernel_sum"] == pytest.approx(1, abs=0.05)
    assert told["metrics"]
    assert set(told["stage_seconds"]) >= {"read", "subtract", "find"}


def test_without_alerts_asked_for_there_is_one_file(run, images, tmp_path):
    run("subtract", images["science"], images["epoch1"], "-o", tmp_path / "d.fits")
    assert [path.name for path in tmp_path.iterdir()] == ["d.fits"]


def test_the_matching_is_told_on_request(run, images, tmp_path):
    catalogue = tmp_path / "stars.ecsv"
    Table({"x": [60.0, 20.0], "y": [70.0, 30.0], "flux": [3.0, 1.0]}).write(
        catalogue, format="ascii.ecsv"
    )
    end = run(
        *("subtract", images["science"], images["epoch1"], "-o", tmp_path / "d.fits"),
        *("--qa", "--catalogue", catalogue, "--subtract", "zogy"),
    )
    assert (end.code, end.err) == (0, "")
    assert (tmp_path / "d_qa.png").read_bytes().startswith(b"\x89PNG")
    with fits.open(tmp_path / "d_qa.fits") as hdus:
        assert hdus[0].header["N_CATALOGUE_STARS"] == 2


def test_a_difference_that_leaves_much_of_stars_is_written_with_a_warning(
    run, images, tmp_path
):
    strict = tmp_path / "strict.toml"
    strict.write_text("[pipeline]\nmax_residual_mean = 1e-6\n")
    end = run(
        *("subtract", images["science"], images["epoch1"], "-o", tmp_path / "d.fits"),
        *("-c", strict, "--alerts", tmp_path / "a.avro"),
    )
    assert end.code == 0
    assert "warning" in end.err
    assert "max_residual_mean" in end.err
    assert list(read_alerts(tmp_path / "a.avro"))


def test_the_subtraction_plugin_can_be_named(run, images, tmp_path):
    end = run(
        *("subtract", images["science"], images["epoch1"], "-o", tmp_path / "d.fits"),
        *("--subtract", "hotpants"),
    )
    assert end.code == 2
    assert "hotpants" in end.err


def test_the_configuration_holds_for_one_image_too(run, images, config, tmp_path):
    path = config("[plugins.find.score_peaks]\nthreshold = 1e6\n")
    output = tmp_path / "d.fits"
    end = run("subtract", images["science"], images["epoch1"], "-o", output, "-c", path)
    assert end.out.startswith(f"{output}: 0 DiaSources")


def test_images_without_a_common_field_are_refused(run, images, tmp_path):
    elsewhere = tmp_path / "elsewhere.fits"
    with fits.open(images["epoch1"]) as hdus:
        for hdu in hdus:
            if "CRVAL2" in hdu.header:
                hdu.header["CRVAL2"] += 1
        hdus.writeto(elsewhere)
    output = tmp_path / "d.fits"
    end = run("subtract", images["science"], elsewhere, "-o", output)
    assert end.code == 1
    assert "science.fits: skipped: " in end.err
    assert not output.exists()


def test_a_place_that_can_not_be_written_to_is_named(run, images, tmp_path):
    (tmp_path / "file").touch()
    output = tmp_path / "file" / "d.fits"
    end = run("subtract", images["science"], images["epoch1"], "-o", output)
    assert end.code == 1
    assert f"{output}: can not be written" in end.err
    assert len(end.err.splitlines()) == 1


def test_epochs_become_a_coadd_that_can_be_subtracted(run, images, epochs, tmp_path):
    coadd, output = tmp_path / "coadd.fits", tmp_path / "d.fits"
    end = run("coadd", *epochs, "-o", coadd, "--band", "r")
    assert (end.code, end.out) == (0, f"{coadd}: 3 of 3 exposures\n")
    assert run("subtract", images["science"], coadd, "-o", output).code == 0
    assert output.exists()


def test_a_coadd_is_told_to_programs(run, epochs, tmp_path):
    coadd = tmp_path / "coadd.fits"
    end = run("coadd", *epochs, "-o", coadd, "--band", "r", "--json")
    told = json.loads(end.out)
    assert told["output"] == str(coadd)
    assert [(i["visit"], i["accepted"]) for i in told["inputs"]] == [
        (n, True) for n in (1, 2, 3)
    ]
    assert sum(i["weight"] for i in told["inputs"]) == pytest.approx(1)


def test_a_band_that_can_not_be_part_of_an_id_is_refused(run, epochs, tmp_path):
    end = run("coadd", *epochs, "-o", tmp_path / "coadd.fits", "--band", "r/i")
    assert end.code == 2
    assert "--band: 'r/i' can not be part of a template id" in end.err


def test_a_coadd_can_have_the_pixels_of_a_file(run, images, epochs, tmp_path):
    coadd = tmp_path / "coadd.fits"
    run("coadd", *epochs, "-o", coadd, "--wcs-like", images["science"])
    with fits.open(coadd) as hdus:
        assert hdus["IMAGE"].data.shape == (160, 160)


def test_a_coadd_of_a_file_that_is_no_image_is_refused(run, epochs, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("no image")
    end = run("coadd", *epochs, notes, "-o", tmp_path / "coadd.fits")
    assert end.code == 1
    assert "notes.txt" in end.err
    assert not (tmp_path / "coadd.fits").exists()
