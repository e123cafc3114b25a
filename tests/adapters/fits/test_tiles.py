import numpy as np
import pytest
from astropy.io import fits

from streamdiff.adapters.fits.celestial import wcs_header
from streamdiff.adapters.fits.tiles import read_tiles
from streamdiff.errors import ConfigError
from streamdiff.testing import Scene

NEAR, FAR = Scene(shape=(30, 40), dec=1.0), Scene(shape=(50, 20), dec=3.0)


def image(scene, **cards):
    header = wcs_header(scene.wcs)
    header.update(cards)
    return fits.ImageHDU(np.zeros(scene.shape, np.float32), header)


def written(path, *hdus):
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    return str(path)


def test_every_image_is_a_tile(tmp_path):
    tiles = read_tiles(written(tmp_path / "t.fits", image(NEAR), image(FAR)))
    assert tiles.shape(0, 0) == NEAR.shape
    assert tiles.shape(0, 1) == FAR.shape
    assert tiles.patches_touching(FAR.wcs, FAR.shape) == [(0, 1)]


def test_the_header_may_give_the_numbers(tmp_path):
    path = written(tmp_path / "t.fits", image(NEAR, TRACT=8, PATCH=5))
    assert read_tiles(path).shape(8, 5) == NEAR.shape


def test_a_header_alone_is_enough(tmp_path):
    header = wcs_header(NEAR.wcs)
    header["IMAGEW"], header["IMAGEH"] = 40, 30
    path = written(tmp_path / "t.fits", fits.ImageHDU(header=header))
    assert read_tiles(path).shape(0, 0) == (30, 40)


def test_compressed_images_are_tiles(tmp_path):
    hdu = fits.CompImageHDU(np.zeros(NEAR.shape, np.int32), wcs_header(NEAR.wcs))
    assert read_tiles(written(tmp_path / "t.fits", hdu)).shape(0, 0) == NEAR.shape


def test_a_folder_of_the_stores_scheme_may_hold_the_file(tmp_path):
    uri = "file://" + written(tmp_path / "t.fits", image(NEAR))
    assert read_tiles(uri).shape(0, 0) == NEAR.shape


def test_a_tile_without_size_is_refused(tmp_path):
    path = written(tmp_path / "t.fits", fits.ImageHDU(header=wcs_header(NEAR.wcs)))
    with pytest.raises(ConfigError, match="IMAGEW"):
        read_tiles(path)


def test_a_tile_that_is_there_twice_is_refused(tmp_path):
    twice = [image(NEAR, TRACT=1, PATCH=2), image(FAR, TRACT=1, PATCH=2)]
    with pytest.raises(ConfigError, match="tract 1, patch 2 is there twice"):
        read_tiles(written(tmp_path / "t.fits", *twice))


@pytest.mark.parametrize("content", [None, b"", b"no FITS at all"])
def test_a_file_that_is_no_fits_is_refused(tmp_path, content):
    path = tmp_path / "t.fits"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"t\.fits"):
        read_tiles(str(path))


def test_a_file_without_tiles_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="at least one tile"):
        read_tiles(written(tmp_path / "t.fits"))
