"""Tables of stars: which rows become stars on the image, and what is refused."""

import gzip
import io

import numpy as np
import pytest
from astropy import units
from astropy.table import Table

from streamdiff.adapters.fits.catalogue import read_stars
from streamdiff.adapters.fits.exposure import encode_exposure
from streamdiff.errors import InvalidExposureError, UnreadableImageError
from streamdiff.testing import PointSource, Scene

X, Y, FLUX = np.array([20.3, 70.8, 45.0]), np.array([30.1, 50.6, 12.4]), [4e3, 9e3, 2e3]
SCENE = Scene(
    sources=tuple(map(PointSource, X, Y, FLUX)),
    shape=(80, 100),
)
EXPOSURE = SCENE.observe(noise=5, seed=1)
BRIGHTEST_FIRST = [1, 0, 2]


def written(table, kind="fits"):
    if kind == "fits":
        buffer = io.BytesIO()
        table.write(buffer, format="fits")
        return buffer.getvalue()
    text = io.StringIO()
    table.write(text, format="ascii.ecsv")
    return text.getvalue().encode()


def read(columns, kind="fits"):
    return read_stars(written(Table(columns), kind), "stars.fits", EXPOSURE)


@pytest.fixture(scope="module")
def sky():
    ra, dec = SCENE.wcs.all_pix2world(X, Y, 0)
    return {"ra": ra, "dec": dec, "flux": FLUX}


PIXELS = {"x": X, "y": Y, "flux": FLUX}


@pytest.mark.parametrize("kind", ["fits", "ecsv"])
def test_pixel_positions_are_taken_as_they_are(kind):
    stars = read(PIXELS, kind)
    assert stars.x.tolist() == X[BRIGHTEST_FIRST].tolist()
    assert stars.y.tolist() == Y[BRIGHTEST_FIRST].tolist()
    assert stars.flux.tolist() == sorted(FLUX, reverse=True)


@pytest.mark.parametrize("kind", ["fits", "ecsv"])
def test_sky_positions_go_through_the_wcs(sky, kind):
    stars = read(sky, kind)
    assert stars.x == pytest.approx(X[BRIGHTEST_FIRST], abs=1e-6)
    assert stars.y == pytest.approx(Y[BRIGHTEST_FIRST], abs=1e-6)


def test_sky_positions_may_be_in_any_angle(sky):
    table = Table(sky)
    table["ra"] = (table["ra"].data * units.deg).to(units.rad)
    table["dec"] = (table["dec"].data * units.deg).to(units.arcsec)
    for kind in ("fits", "ecsv"):
        stars = read_stars(written(table, kind), "stars", EXPOSURE)
        assert stars.x == pytest.approx(X[BRIGHTEST_FIRST], abs=1e-6)


def test_columns_may_be_in_upper_case_and_among_others():
    stars = read({"NAME": ["a", "b", "c"]} | {k.upper(): v for k, v in PIXELS.items()})
    assert len(stars) == 3


def test_pixels_win_over_the_sky(sky):
    assert read(PIXELS | {"ra": X, "dec": Y}).x.tolist() == X[BRIGHTEST_FIRST].tolist()


def test_signal_to_noise_ratios_are_those_of_the_image():
    # of a Gaussian, fitted in white noise: flux / (noise sqrt(4 pi) sigma)
    expected = np.array([9e3, 4e3, 2e3]) / (5 * np.sqrt(4 * np.pi) * 3.5 / 2.3548)
    # the stars' own noise is not in the expectation, nor is the bias of the fit
    assert read(PIXELS).snr == pytest.approx(expected, rel=0.1)


def test_a_compressed_table_is_read():
    content = gzip.compress(written(Table(PIXELS)))
    assert len(read_stars(content, "stars.fits.gz", EXPOSURE)) == 3


@pytest.mark.parametrize(
    ("x", "y", "flux"),
    [
        (np.nan, 30, 1e3),
        (20, np.nan, 1e3),
        (20, 30, np.nan),
        (20, 30, np.inf),
        (20, 30, 0),
        (20, 30, -5),
        (-0.6, 30, 1e3),
        (99.6, 30, 1e3),
        (20, 79.5, 1e3),
        (-1e30, 1e30, 1e3),
        (np.inf, 30, 1e3),
    ],
)
def test_rows_that_are_no_star_on_the_image_are_passed_over(x, y, flux):
    columns = {"x": [50.0, x], "y": [40.0, y], "flux": [1e3, flux]}
    assert read(columns).x.tolist() == [50.0]


@pytest.mark.parametrize(
    ("ra", "dec"), [(np.nan, 0), (30, np.nan), (30, 12), (30, 95), (np.inf, -12)]
)
def test_positions_off_the_image_on_the_sky_are_passed_over(sky, ra, dec):
    columns = {
        name: np.append(values, value)
        for (name, values), value in zip(sky.items(), (ra, dec, 1e3), strict=True)
    }
    assert len(read(columns)) == 3


def test_masked_values_are_missing_values():
    table = Table(PIXELS, masked=True)
    table["x"].mask[1] = True
    assert read_stars(written(table, "ecsv"), "s", EXPOSURE).flux.tolist() == [4e3, 2e3]


@pytest.mark.parametrize("kind", ["fits", "ecsv"])
def test_a_table_without_a_star_on_the_image_is_no_list(kind):
    empty = {name: np.zeros(0) for name in PIXELS}
    assert read(empty, kind) is None
    assert read({"x": [500.0], "y": [3.0], "flux": [1.0]}, kind) is None


@pytest.mark.parametrize("missing", ["x", "flux"])
def test_a_missing_column_is_named_with_those_there_are(missing):
    columns = {name: v for name, v in PIXELS.items() if name != missing}
    with pytest.raises(
        InvalidExposureError, match=rf"x and y.*has {', '.join(columns)}"
    ):
        read(columns)


@pytest.mark.parametrize("values", [["a", "b", "c"], np.ones((3, 2))])
def test_a_column_without_one_number_per_row_is_named(values):
    with pytest.raises(InvalidExposureError, match=r"stars\.fits, column x"):
        read(PIXELS | {"x": values})


def test_a_file_of_another_kind_is_no_table():
    for content in (b"x,y,flux\n1,2,3\n", b"", b"# %ECSV 1.0\nno yaml: ["):
        with pytest.raises(UnreadableImageError, match="stars"):
            read_stars(content, "stars", EXPOSURE)


def test_an_image_is_no_table():
    with pytest.raises(InvalidExposureError, match="holds no table"):
        read_stars(encode_exposure(EXPOSURE), "stars", EXPOSURE)


def test_a_truncated_table_is_unreadable():
    content = written(Table(PIXELS))
    with pytest.raises(UnreadableImageError, match="truncated"):
        read_stars(content[:-2880], "stars", EXPOSURE)
