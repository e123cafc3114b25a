"""A template coadded from the frames after the event; every other frame is a visit."""

import csv
from dataclasses import replace

import pytest
from click.testing import CliRunner
from saao_frames import configured, frame_path, is_template

from streamdiff.adapters.fits.coadd import decode_coadd
from streamdiff.app.environment import read_settings
from streamdiff.app.wiring import sky_map, template_store
from streamdiff.cli.program import program
from streamdiff.model import TemplateId


@pytest.fixture(scope="session")
def folder(shared_data):
    return shared_data / "saao_moa2013blg475"


@pytest.fixture(scope="session")
def table(folder):
    with (folder / "frames.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("saao")


@pytest.fixture(scope="session")
def settings(folder, work):
    return read_settings(configured(folder, work, "al"))


@pytest.fixture(scope="session")
def template(folder, table, work, settings):
    """Coadd the frames after the event on the command line, and store the result."""
    output = work / "template.fits"
    paths = [str(frame_path(folder, row)) for row in table if is_template(row)]
    arguments = ["coadd", *paths, "-o", str(output), "--band", "I"]
    made = CliRunner().invoke(
        program, [*arguments, "-c", str(work / "al.toml")], catch_exceptions=False
    )
    assert made.exit_code == 0, made.output
    coadd = decode_coadd(output.read_bytes())
    exposure = coadd.exposure
    tract, patch = sky_map(settings).patches_touching(exposure.wcs, exposure.shape)[0]
    template_id = TemplateId(tract=tract, patch=patch, band="I")
    template_store(settings).save(
        replace(coadd, exposure=replace(exposure, id=template_id)),
        [],
        after=0,
        update_id="coadd",
    )
    return coadd
