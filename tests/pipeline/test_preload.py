"""Which templates an announced field asks for, and in which order."""

import pytest

from streamdiff.imaging.skymap import SkyMap
from streamdiff.model import PreloadHint, TemplateId
from streamdiff.pipeline.preload import MAX_PATCHES, preload

SKYMAP = SkyMap()


class Store:
    """Notes what is loaded; only templates of one band exist."""

    def __init__(self):
        self.loaded = []

    def newest(self, template_id):
        return 3 if template_id.band == "r" else None

    def load(self, template_id, version):
        self.loaded.append((template_id, version))
        return object()


def hint(**changes):
    values = {
        "instrument": "SimCam",
        "detector": 1,
        "band": "r",
        "ra": 150.0,
        "dec": 2.0,
        "radius_deg": 0.1,
    }
    return PreloadHint(**values | changes)


def containing(ra, dec):
    """Return the patch without overlap that holds a position."""
    (place,) = {
        (tract, patch)
        for tract in [int(SKYMAP._tracts([ra], [dec])[0])]  # noqa: SLF001
        for patch in SKYMAP._cells(tract, [ra], [dec])  # noqa: SLF001
    }
    return place


def test_the_newest_versions_are_loaded_the_nearest_last():
    store = Store()
    n_loaded = preload(hint(template_name="good"), store, SKYMAP)
    tract, patch = containing(150.0, 2.0)
    last, version = store.loaded[-1]
    assert last == TemplateId(name="good", tract=tract, patch=patch, band="r")
    assert (version, n_loaded) == (3, len(store.loaded))
    assert 1 <= n_loaded <= 9


def test_a_large_field_asks_for_the_nearest_alone():
    store = Store()
    assert preload(hint(radius_deg=3.0), store, SKYMAP) == MAX_PATCHES
    tract, patch = containing(150.0, 2.0)
    assert store.loaded[-1][0] == TemplateId(tract=tract, patch=patch, band="r")


def test_templates_that_do_not_exist_are_not_loaded():
    store = Store()
    assert preload(hint(band="g"), store, SKYMAP) == 0
    assert store.loaded == []


@pytest.mark.parametrize(("ra", "dec"), [(0.0, 89.99), (359.999, 0.0), (-10.0, -90.0)])
def test_poles_and_the_meridian_are_fields_as_well(ra, dec):
    assert preload(hint(ra=ra, dec=dec), Store(), SKYMAP) >= 1


@pytest.mark.parametrize(
    "changes",
    [{"ra": float("nan")}, {"dec": 91.0}, {"radius_deg": 0.0}, {"radius_deg": 11.0}],
)
def test_a_hint_out_of_range_is_refused(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        hint(**changes)
