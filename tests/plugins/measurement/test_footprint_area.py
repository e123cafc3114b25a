"""LSST gives up on dipoles with large footprints (E9); here none costs more."""

import numpy as np

from streamdiff.model import Column
from streamdiff_measurement import Dipole


def test_the_area_of_a_footprint_does_not_matter_to_a_dipole(observe, sources_at):
    x, y = np.array([60.0, 140.0]), np.array([60.0, 140.0])
    images = observe(x, y, 5000.0)
    sources = sources_at(x, y)
    area = Column("footprintArea", "i4", "pix", "")
    large = sources.with_columns([area], {"footprintArea": [750, 100_000]})
    small, big = (Dipole().measure(table, images) for table in (sources, large))
    for name, values in small.items():
        assert np.array_equal(values, big[name], equal_nan=values.dtype.kind == "f")
