from dataclasses import replace

import numpy as np
import pytest

from streamdiff.model import (
    Convolved,
    DiaObjects,
    Difference,
    FluxScale,
    MaskPlane,
    Noise,
)
from streamdiff.pipeline.association.forced import forced_sources
from streamdiff.stages import Images
from streamdiff.testing import PointSource, Scene

SCENE = Scene(sources=(), shape=(120, 140))
FLUX = 4e4
SCIENCE = SCENE.add(PointSource(60.3, 70.6, FLUX)).observe(fwhm=3, noise=10, seed=2)
TEMPLATE = SCENE.observe(fwhm=3, noise=10, seed=1)


def images(**changes):
    plain = Difference(
        id=SCIENCE.id,
        image=SCIENCE.image - TEMPLATE.image,
        variance=SCIENCE.variance + TEMPLATE.variance,
        mask=SCIENCE.mask,
        psf=SCIENCE.psf,
        wcs=SCIENCE.wcs,
        flux_scale=FluxScale.SCIENCE,
        kernel_sum=2.0,
        convolved=Convolved.NONE,
        noise=Noise.WHITE,
    )
    made = plain.on_scale(changes.pop("scale", FluxScale.SCIENCE))
    return Images(difference=made, science=SCIENCE, template=TEMPLATE)


def objects(x, y, **changes):
    sky = SCIENCE.wcs.pixel_to_world(np.asarray(x, float), np.asarray(y, float)).icrs
    n = len(x)
    values = {name: np.ones(n) for name in DiaObjects.names()}
    values |= {"dia_object_id": np.arange(n) + 50, "ra": sky.ra.deg, "dec": sky.dec.deg}
    return DiaObjects(**(values | changes))


@pytest.fixture
def event(found):
    return found(visit=3, detector=2).event


@pytest.mark.parametrize(
    ("scale", "factor"), [(FluxScale.SCIENCE, 1.0), (FluxScale.TEMPLATE, 0.5)]
)
def test_a_flux_is_measured_where_an_object_is_known(event, scale, factor):
    rows = forced_sources(event, images(scale=scale), objects([60.3, 20], [70.6, 20]))
    flux, error = rows.psf_flux, rows.psf_flux_err
    # 5 sigma in two places: 1e-6 to fail by chance
    assert abs(flux[0] - factor * FLUX) < 5 * error[0]
    assert abs(flux[1]) < 5 * error[1]
    assert 0 < error[1] < FLUX / 100
    assert abs(rows.science_flux[0] - factor * FLUX) < 5 * rows.science_flux_err[0]
    assert rows.dia_object_id.tolist() == [50, 51]
    assert rows.visit.tolist() == [3, 3]
    assert rows.detector.tolist() == [2, 2]


def test_ids_tell_visit_detector_and_rank(event):
    rows = forced_sources(event, images(), objects([90, 60, 30], [30, 30, 30]))
    assert (rows.dia_forced_source_id >> 22).tolist() == [3] * 3
    assert (rows.dia_forced_source_id >> 14 & 255).tolist() == [2] * 3
    assert (rows.dia_forced_source_id & 0x3FFF).tolist() == [0, 1, 2]


def test_objects_beside_the_image_have_no_flux(event):
    known = objects([-3, 60, 139.6, 5000], [50, 125, 50, 50])
    assert len(forced_sources(event, images(), known)) == 0
    assert len(forced_sources(event, images(), DiaObjects.empty())) == 0


def test_objects_on_the_other_side_of_the_sky_are_no_trouble(event):
    known = objects([60.0, 60.0], [60.0, 60.0], ra=[190.0, 10.0], dec=[0.0, -60.0])
    assert len(forced_sources(event, images(), known)) == 0


def test_where_no_pixel_is_usable_there_is_no_flux(event):
    made = images()
    mask = made.difference.mask.copy()
    mask[60:82, 50:72] |= MaskPlane.BAD
    both = Images(
        difference=replace(made.difference, mask=mask),
        science=replace(SCIENCE, mask=mask),
        template=TEMPLATE,
    )
    rows = forced_sources(event, both, objects([60.3, 20], [70.6, 20]))
    assert rows.dia_object_id.tolist() == [51]
