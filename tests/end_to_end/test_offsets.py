"""How far a template lies from its science image is always reported."""

from dataclasses import replace

import pytest

from streamdiff.testing import Scene
from streamdiff_al import AlardLuptonSubtractor
from streamdiff_zogy import ZogySubtractor

FIELD = Scene.star_field(shape=(512, 512), density_per_mpx=2500, seed=3)
OFFSET = (0.3, -0.2)


@pytest.mark.parametrize("fwhm", [(3, 4), (4, 3), (3.5, 3.5)])
@pytest.mark.parametrize("subtractor", [AlardLuptonSubtractor(), ZogySubtractor()])
def test_the_offset_of_the_template_is_a_metric(subtractor, fwhm):
    shifted = FIELD.dithered_wcs(dx=OFFSET[0], dy=OFFSET[1])
    science = FIELD.observe(fwhm=fwhm[0], noise=10, seed=1, wcs=shifted)
    science = replace(science, wcs=FIELD.wcs)
    template = FIELD.observe(fwhm=fwhm[1], noise=5, seed=2)
    metrics = subtractor.subtract(science, template).metrics
    found = metrics["template_offset_x_pixel"], metrics["template_offset_y_pixel"]
    # A hundred stars of S/N 30 and more know their median to a few 1e-3 px.
    assert found == pytest.approx(OFFSET, abs=0.01)
