import numpy as np
import pytest

from streamdiff.pipeline.inputs import InputWatch


@pytest.fixture
def plane(tmp_path):
    np.arange(64, dtype=np.float32).tofile(tmp_path / "plane")
    return lambda mode: np.memmap(
        tmp_path / "plane", np.float32, mode, shape=(8, 8)
    ).view(np.ndarray)


def test_what_was_changed_is_named():
    given = [np.zeros((8, 8)), np.zeros(3)]
    watch = InputWatch.over(given)
    assert not watch.changed(given)
    given[1][2] = 1
    assert watch.changed(given) == ("ndarray",)


def test_planes_mapped_for_reading_are_not_looked_at(plane):
    assert not InputWatch.over([plane("r")]).samples


def test_planes_mapped_for_writing_are_watched(plane):
    mapped = plane("c")
    watch = InputWatch.over([mapped])
    mapped[0, 0] = 5
    assert watch.changed([mapped]) == ("ndarray",)
