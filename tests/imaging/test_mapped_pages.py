import re
from pathlib import Path

import numpy as np
import pytest

from streamdiff.imaging.mapped_pages import let_go_of_pages
from streamdiff.imaging.pixel_map import PixelMap
from streamdiff.imaging.resample import Planes, resample

SHAPE = 1100, 700


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "plane"
    np.linspace(1, 2, SHAPE[0] * SHAPE[1], dtype=np.float32).tofile(path)
    return path


def mapped(path, mode="r"):
    return np.memmap(path, np.float32, mode, shape=SHAPE)


def resident_kib(path):
    """Memory that the mappings of a file take, by the kernel's own account."""
    maps = Path("/proc/self/smaps").read_text(encoding="utf-8").split(f"{path}\n")
    return sum(
        int(re.search(r"^Rss: +(\d+) kB", of, re.MULTILINE)[1]) for of in maps[1:]
    )


@pytest.mark.parametrize("view", [np.asarray, lambda p: p[5:].view(), lambda p: p.T])
def test_pages_are_let_go_of_and_read_again(path, view):
    plane = mapped(path)
    total = float(plane.sum(dtype=float))
    assert resident_kib(path) > 2000
    let_go_of_pages(view(plane), np.zeros(3))
    assert resident_kib(path) == 0
    assert float(plane.sum(dtype=float)) == total


def test_what_was_written_into_a_copy_is_kept(path):
    plane = mapped(path, "c")
    plane[:] = 7
    let_go_of_pages(plane)
    assert (plane == 7).all()


def test_a_warp_of_mapped_planes_keeps_none_of_them(path, tmp_path):
    bits = tmp_path / "bits"
    np.zeros(SHAPE, np.int32).tofile(bits)
    planes = Planes(
        image=mapped(path),
        variance=mapped(path),
        mask=np.memmap(bits, np.int32, "r", shape=SHAPE),
        covariance_factor=mapped(path),
    )
    y, x = np.mgrid[:1105:16, :705:16] + 0.25
    warped = resample(planes, PixelMap(x=x, y=y, step=16), SHAPE)
    assert np.isfinite(warped.variance[500:600, 300:400]).all()
    assert resident_kib(path) == resident_kib(bits) == 0
