"""Coadds of real frames: cosmic rays that their descriptions name are gone."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from streamdiff.app.environment import find_plugins, read_settings
from streamdiff.app.single import Workbench
from streamdiff.model import MaskPlane, TemplateId

pytestmark = [pytest.mark.frames, pytest.mark.timeout(600)]

# Folder, then exposure and columns and rows of each visible track.
DECAM_TRACKS = {
    "reference_OBS18": [
        (2, (226, 244), (0, 14)),
        (3, (40, 120), (160, 190)),
        (3, (80, 110), (105, 119)),
        (4, (230, 256), (74, 86)),
    ],
    "science_OBS04": [(2, (10, 60), (150, 160)), (4, (80, 100), (50, 95))],
}
NUCLEUS = slice(124, 133), slice(125, 134)
# Frame, and the pixel on the grid of frame 0100 that a cosmic ray hit.
SAAO_HITS = {"0035": (287, 228), "0045": (396, 328)}
SAAO_GRID, SAAO_OTHERS = "0100", ("0169", "0170", "0173", "0177", "0180")

CONFIG = """
[stream]
transport = "embedded"
[pipeline]
coadd = "{coadd}"
[plugins.read.fits]
instrument = "Camera"
detector = 1
band = "i"
[plugins.coadd.{coadd}]
input_map = true
"""


def coadd_of(paths, folder, *, coadd="compare_warp", like=None):
    config = folder / f"{coadd}.toml"
    config.write_text(CONFIG.format(coadd=coadd))
    bench = Workbench(settings=read_settings(config), registry=find_plugins())
    return bench.coadd(paths, TemplateId(tract=0, patch=0, band="i"), like)


def draw(before, after, path):
    figure = Figure(figsize=(14, 7))
    for axes, coadd in zip(figure.subplots(1, 2), (before, after), strict=True):
        low, high = np.percentile(before.exposure.image, (2, 97))
        axes.imshow(
            coadd.exposure.image, vmin=low, vmax=high, origin="lower", cmap="gray"
        )
    figure.savefig(path)


@pytest.fixture(scope="module", params=DECAM_TRACKS)
def decam(request, shared_data, tmp_path_factory):
    """Return the tracks, and coadds of five exposures with and without them."""
    folder = tmp_path_factory.mktemp("decam")
    paths = sorted((shared_data / "decam_stack" / request.param).glob("*.fits"))
    assert len(paths) == 5
    before = coadd_of(paths, folder, coadd="mean")
    after = coadd_of(paths, folder)
    draw(before, after, folder / "before_and_after.png")
    return DECAM_TRACKS[request.param], before, after


def test_visible_tracks_are_gone(decam):
    tracks, before, after = decam
    for exposure, columns, rows in tracks:
        box = slice(*rows), slice(*columns)
        sigma = np.sqrt(np.median(after.exposure.variance))
        change = (before.exposure.image[box] - after.exposure.image[box]) / sigma
        left_out = ~after.uses(exposure)[box]
        assert left_out.sum() > 100
        # A fifth of a track is what a mean of five shows of it.
        assert change.max() > 5
        others = [
            after.uses(n)[box][left_out].mean() for n in range(5) if n != exposure
        ]
        assert min(others) > 0.9


def test_the_nucleus_of_the_galaxy_is_kept(decam):
    _, before, after = decam
    assert (after.n_image[NUCLEUS] == 5).all()
    assert not MaskPlane.CLIPPED.in_mask(after.exposure.mask[NUCLEUS]).any()
    np.testing.assert_allclose(
        after.exposure.image[NUCLEUS], before.exposure.image[NUCLEUS], rtol=1e-5
    )


def test_hardly_anything_else_is_left_out(decam):
    _, _, after = decam
    assert after.metrics["clipped_fraction"] < 0.02


def frame(folder, number):
    return folder / f"AKB13475I{number}.fits"


@pytest.fixture(scope="module")
def saao(shared_data, tmp_path_factory):
    """Return coadds of two frames that were hit, and of template frames."""
    source, folder = (
        shared_data / "saao_moa2013blg475",
        tmp_path_factory.mktemp("saao"),
    )
    paths = [frame(source, name) for name in (*SAAO_HITS, *SAAO_OTHERS)]
    like = frame(source, SAAO_GRID)
    before = coadd_of(paths, folder, coadd="mean", like=like)
    after = coadd_of(paths, folder, like=like)
    draw(before, after, folder / "before_and_after.png")
    return before, after


@pytest.mark.parametrize(("number", "frame_name"), [*enumerate(SAAO_HITS)])
def test_cosmic_rays_in_a_crowded_field_are_gone(saao, number, frame_name):
    before, after = saao
    x, y = SAAO_HITS[frame_name]
    hit = slice(y - 1, y + 2), slice(x - 1, x + 2)
    assert not after.uses(number)[hit].any()
    sigma = np.sqrt(before.exposure.variance[hit])
    change = (before.exposure.image[hit] - after.exposure.image[hit]) / sigma
    # Of 100 sigma in one of seven frames, 38 are left in their mean.
    assert change.max() > 15


def test_the_stars_of_a_crowded_field_are_kept(saao):
    _, after = saao
    # Bleeds, saturated stars and the borders of frames are nearly all of it.
    assert after.metrics["clipped_fraction"] < 0.03
    star = after.exposure.image > 50 * np.sqrt(after.exposure.variance)
    star &= ~MaskPlane.SAT.in_mask(after.exposure.mask)
    used = np.mean([after.uses(n)[60:470, 70:500] for n in range(7)], axis=0)
    assert used[star[60:470, 70:500]].mean() > 0.97
