"""Threads share rows of images; what they make does not depend on their number."""

import numpy as np
import pytest
import scipy.fft

from streamdiff.testing import PointSource, Scene

SKY = Scene.star_field(shape=(300, 330), density_per_mpx=800, seed=5)


@pytest.mark.parametrize("subtract", ["al", "zogy"])
def test_dia_sources_are_the_same_in_several_threads(compare, subtract):
    changed = SKY.add(PointSource(120.3, 180.6, 5e4))
    science = changed.observe(fwhm=3.6, noise=10, seed=2, visit=7)
    template = SKY.observe(fwhm=3.1, noise=5, seed=1)
    alone = compare(science, template, subtract=subtract).products.sources
    with scipy.fft.set_workers(3):
        together = compare(science, template, subtract=subtract).products.sources
    assert len(alone) > 0
    for name in alone.values:
        np.testing.assert_array_equal(alone[name], together[name], err_msg=name)
