"""What a difference tells about its matching comes back from the file."""

import io
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from streamdiff.adapters.fits.qa import encode_qa, term_names
from streamdiff.model import (
    CandidateStatus,
    Convolved,
    Difference,
    FluxScale,
    KernelCandidates,
    MatchingKernel,
    Noise,
)
from streamdiff.model.field import field_terms
from streamdiff.model.kernel_candidates import COLUMNS
from streamdiff.testing import Scene

EXPOSURE = Scene(shape=(60, 80)).observe(seed=1)
KERNEL = MatchingKernel(
    basis=np.random.default_rng(1).normal(size=(4, 5, 7)),
    coefficients=np.random.default_rng(2).normal(size=(4, 6)),
    image_shape=EXPOSURE.shape,
)
CANDIDATES = KernelCandidates(
    **{name: np.array([10.5, np.nan]) for name in COLUMNS[3:]},
    x=[20.25, 40.5],
    y=[30.0, 31.5],
    snr=[100.0, 12.0],
    status=[CandidateStatus.USED.value, CandidateStatus.UNUSABLE.value],
    targets=np.ones((2, 9, 9)),
    residuals=np.zeros((2, 9, 9)),
)
PLAIN = Difference(
    id=EXPOSURE.id,
    image=EXPOSURE.image,
    variance=EXPOSURE.variance,
    mask=EXPOSURE.mask,
    psf=EXPOSURE.psf,
    wcs=EXPOSURE.wcs,
    flux_scale=FluxScale.SCIENCE,
    kernel_sum=0.9,
    convolved=Convolved.TEMPLATE,
    noise=Noise.WHITE,
    metrics={"kernel_spatial_rms_median": 1.25, "unknown": np.nan},
)
FULL = replace(
    PLAIN,
    matching_kernel=KERNEL,
    kernel_candidates=CANDIDATES,
    background=np.array([1.5, 0.5, -0.5]),
)


@pytest.fixture(scope="module")
def hdus():
    content = encode_qa(FULL, metrics={"science_variance_scale": 1.345})
    with fits.open(io.BytesIO(content)) as opened:
        yield opened


def test_the_header_has_identity_and_metrics(hdus):
    header = hdus[0].header
    assert (header["VISIT"], header["KSUM"], header["CONVOLVE"]) == (1, 0.9, "template")
    assert header["KERNEL_SPATIAL_RMS_MEDIAN"] == 1.25
    assert header["SCIENCE_VARIANCE_SCALE"] == 1.345
    assert "UNKNOWN" not in header


def test_candidates_come_back(hdus):
    table = hdus["CANDIDATES"].data
    assert table["status"].tolist() == ["used", "unusable"]
    assert table["x"].tolist() == [20.25, 40.5]
    assert table["local_rms"][0] == 10.5
    assert np.isnan(table["local_rms"][1])
    assert hdus["CANDIDATE_TARGETS"].data.shape == (2, 9, 9)
    assert not hdus["CANDIDATE_RESIDUALS"].data.any()


def test_the_kernel_can_be_made_again_from_its_coefficients(hdus):
    table, basis = hdus["KERNEL"].data, hdus["KERNEL_BASIS"].data
    x, y = 12.0, 47.0
    terms = field_terms(x, y, 2, EXPOSURE.shape)
    weights = sum(t * table[name] for t, name in zip(terms, term_names(2), strict=True))
    assert np.tensordot(weights, basis, 1) == pytest.approx(KERNEL.at(x, y))
    assert table["sum"] == pytest.approx(KERNEL.basis.sum(axis=(1, 2)))


def test_the_mosaic_tells_where_its_kernels_are(hdus):
    mosaic = hdus["KERNEL_MOSAIC"]
    x, y = (mosaic.header[f"CELL{a}0"] for a in "XY")
    assert mosaic.data[:5, :7] == pytest.approx(KERNEL.at(x, y))
    step = mosaic.header["CELLDX"]
    assert mosaic.data[:5, 8:15] == pytest.approx(KERNEL.at(x + step, y))


def test_the_background_comes_back(hdus):
    assert hdus["BACKGROUND"].data.tolist() == [1.5, 0.5, -0.5]


def test_terms_are_named_in_their_order():
    assert term_names(2) == ["T00", "T10", "T01", "T20", "T11", "T02"]


def test_a_difference_without_a_kernel_has_its_header_alone():
    with fits.open(io.BytesIO(encode_qa(PLAIN))) as hdus:
        assert len(hdus) == 1


def test_no_candidates_make_an_empty_table():
    nothing = dict.fromkeys(COLUMNS, np.zeros(0))
    empty = KernelCandidates(**nothing, status=np.zeros(0, str))
    content = encode_qa(replace(PLAIN, kernel_candidates=empty))
    with fits.open(io.BytesIO(content)) as hdus:
        assert len(hdus["CANDIDATES"].data) == 0
