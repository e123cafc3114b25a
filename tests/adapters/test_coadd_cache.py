import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamdiff.adapters.coadd_cache import CoaddCache
from streamdiff.model import Coadd, CoaddInput, TemplateId
from streamdiff.testing import Scene

TEMPLATE = TemplateId(tract=1, patch=2, band="r")
SCENE = Scene.star_field(shape=(50, 70), seed=1)


def coadd(maps=True):
    exposure = SCENE.observe()
    bits = np.arange(3500, dtype=np.uint8).reshape(1, 50, 70)
    return Coadd(
        exposure=replace(
            exposure,
            id=TEMPLATE,
            covariance_factor=np.linspace(1, 2, 3500, dtype=np.float32).reshape(50, 70),
        ),
        n_image=np.arange(3500, dtype=np.int32).reshape(50, 70),
        inputs=(CoaddInput(id=exposure.id, weight=1.0),),
        metrics={"n_inputs": 1.0},
        input_map=bits if maps else None,
        artifact_map=bits + 1 if maps else None,
    )


def planes(of):
    exposure = of.exposure
    names = "image", "variance", "mask", "covariance_factor"
    kept = {name: getattr(exposure, name) for name in names}
    kept |= {n: getattr(of, n) for n in ("n_image", "input_map", "artifact_map")}
    return {name: plane for name, plane in kept.items() if plane is not None}


@pytest.mark.parametrize("maps", [True, False])
def test_a_coadd_comes_back_as_it_was(maps):
    original, cache = coadd(maps=maps), CoaddCache(10**6)
    cache.put((TEMPLATE, 1), original)
    for copy in (cache.get((TEMPLATE, 1)), cache.get((TEMPLATE, 1))):
        assert (copy.inputs, copy.metrics) == (original.inputs, original.metrics)
        assert (copy.exposure.id, copy.exposure.psf) == (
            TEMPLATE,
            original.exposure.psf,
        )
        assert planes(copy).keys() == planes(original).keys()
        for name, plane in planes(original).items():
            np.testing.assert_array_equal(planes(copy)[name], plane)
            assert planes(copy)[name].dtype == plane.dtype
            assert not planes(copy)[name].flags.writeable


def test_a_coadd_outlives_its_place_in_the_cache():
    cache = CoaddCache(10**6)
    cache.put((TEMPLATE, 1), coadd())
    copy = cache.get((TEMPLATE, 1))
    del cache
    np.testing.assert_array_equal(copy.n_image, coadd().n_image)


def test_what_does_not_fit_is_not_kept():
    cache = CoaddCache(1000)
    cache.put((TEMPLATE, 1), coadd())
    assert cache.get((TEMPLATE, 1)) is None


def test_a_disk_that_is_full_keeps_nothing(tmp_path):
    cache, original = CoaddCache(10**6, str(tmp_path)), coadd()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        cache.put((TEMPLATE, 1), original)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert cache.get((TEMPLATE, 1)) is None
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files
