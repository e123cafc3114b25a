"""Every difference has a page, however little it tells."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread

from streamdiff.app.qa.image_panels import cell_rms, pulls_of
from streamdiff.app.qa.page import qa_page
from streamdiff.model import (
    CandidateStatus,
    Convolved,
    Difference,
    FluxScale,
    KernelCandidates,
    MaskPlane,
    MatchingKernel,
    Noise,
)
from streamdiff.model.kernel_candidates import COLUMNS
from streamdiff.stages import Images
from streamdiff.testing import Scene

SHAPE = (60, 90)


def images_of(shape=SHAPE, mask=None, **changes):
    exposure = Scene(shape=shape).observe(seed=1)
    if mask is not None:
        exposure = replace(exposure, mask=np.full(shape, mask, np.int32))
    difference = Difference(
        id=exposure.id,
        image=exposure.image,
        variance=exposure.variance,
        mask=exposure.mask,
        psf=exposure.psf,
        wcs=exposure.wcs,
        flux_scale=FluxScale.SCIENCE,
        kernel_sum=1.0,
        convolved=Convolved.NONE,
        noise=Noise.WHITE,
    )
    return Images(
        difference=replace(difference, **changes), science=exposure, template=exposure
    )


def kernel(n_basis=3, n_terms=3):
    rng = np.random.default_rng(1)
    return MatchingKernel(
        basis=rng.normal(size=(n_basis, 5, 5)),
        coefficients=rng.normal(size=(n_basis, n_terms)) + 1,
        image_shape=SHAPE,
    )


def candidates(status, *, known=True, stamps=False):
    n = len(status)
    values = np.linspace(1, 50, n) if known else np.full(n, np.nan)
    columns = dict.fromkeys(COLUMNS, values) | {
        "x": np.linspace(0, 89, n),
        "y": np.linspace(0, 59, n),
        "snr": np.full(n, 20.0),
    }
    pixels = np.full((n, 7, 7), np.nan) if stamps else None
    return KernelCandidates(
        **columns, status=[s.value for s in status], targets=pixels, residuals=pixels
    )


def pixels_of(page):
    return imread(BytesIO(page), format="png")


@pytest.mark.parametrize(
    "images",
    [
        images_of((1, 1)),
        images_of((7, 300), mask=MaskPlane.NO_DATA),
        images_of(
            image=np.full(SHAPE, np.nan),
            variance=np.full(SHAPE, np.inf),
            kernel_candidates=candidates([CandidateStatus.USED], known=False),
        ),
        images_of(
            matching_kernel=kernel(n_basis=81, n_terms=1),
            kernel_candidates=candidates([CandidateStatus.USED] * 30, stamps=True),
        ),
    ],
    ids=["one pixel", "masked", "nothing measured", "large basis, no stamps"],
)
def test_there_is_a_page(images):
    page = pixels_of(qa_page(images, metrics={"score_std": 1.0, "x": np.nan}))
    height, width = page.shape[:2]
    assert min(height, width) > 500
    # something is drawn
    assert page[..., :3].std() > 0.01


def test_what_a_difference_tells_more_has_more_room():
    plain = pixels_of(qa_page(images_of(kernel_candidates=candidates([]))))
    full = images_of(
        matching_kernel=kernel(),
        kernel_candidates=candidates(list(CandidateStatus)),
    )
    assert pixels_of(qa_page(full)).shape[0] > 2 * plain.shape[0]


def test_the_same_page_has_the_same_bytes():
    images = images_of()
    assert qa_page(images) == qa_page(images)


def test_the_rms_is_that_of_each_cell():
    pulls = np.ones((64, 64))
    pulls[:32, 32:] = 3
    pulls[40:, 40:] = np.nan
    rms = cell_rms(pulls)
    assert (rms[0, -1], rms[0, 0]) == (3, 1)
    assert np.isnan(rms[-1, -1])


def test_pixels_that_are_masked_have_no_pull():
    difference = images_of(mask=MaskPlane.CR).difference
    assert np.isnan(pulls_of(difference)).all()
