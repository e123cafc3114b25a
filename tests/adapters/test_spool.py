import resource
from dataclasses import replace

import numpy as np
import pytest

from streamdiff.adapters.spool import spool
from streamdiff.errors import StoreUnavailableError
from streamdiff.testing import Scene

SCENE = Scene.star_field(shape=(50, 70), seed=1)


def warps(n):
    factor = np.linspace(1, 2, 3500, dtype=np.float32).reshape(50, 70)
    observed = [SCENE.observe(visit=number, seed=number) for number in range(n)]
    return [replace(e, covariance_factor=factor) for e in observed[:1]] + observed[1:]


def test_exposures_come_back_as_they_were():
    originals = warps(3)
    with spool() as kept:
        for exposure in originals:
            kept.append(exposure)
        assert len(kept) == 3
        for copy, original in zip(kept, originals, strict=True):
            for plane in ("image", "variance", "mask", "covariance_factor"):
                ours, theirs = (getattr(e, plane) for e in (copy, original))
                np.testing.assert_array_equal(ours, theirs)
                assert np.asarray(ours).dtype == np.asarray(theirs).dtype
            assert (copy.id, copy.psf) == (original.id, original.psf)
        assert [e.id for e in kept[1:]] == [e.id for e in originals[1:]]
        assert kept[-1].id == originals[-1].id


def test_planes_can_not_be_edited():
    with spool() as kept:
        kept.append(warps(1)[0])
        with pytest.raises(ValueError, match="read-only"):
            kept[0].image[0, 0] = 1


def test_an_item_outlives_the_spool():
    with spool() as kept:
        kept.append(warps(1)[0])
        item = kept[0]
    np.testing.assert_array_equal(item.image, warps(1)[0].image)


def test_nothing_is_seen_in_the_folder(tmp_path):
    with spool(str(tmp_path)) as kept:
        kept.append(warps(1)[0])
        assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_is_a_passing_fault(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with spool(str(tmp_path)) as kept:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
        try:
            with pytest.raises(StoreUnavailableError, match="temporary files"):
                kept.append(warps(1)[0])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
