from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count

import numpy as np
import pytest

from streamdiff.adapters.template_store import FsspecTemplateStore
from streamdiff.errors import (
    StoreUnavailableError,
    UnreadableImageError,
    VersionConflictError,
)
from streamdiff.imaging.skymap import SkyMap
from streamdiff.model import (
    Action,
    Outcome,
    Reason,
    TemplateId,
    TemplateUpdate,
    UnknownPsf,
    VisitReady,
)
from streamdiff.pipeline.exposures import ExposureSource
from streamdiff.pipeline.per_patch import per_patch
from streamdiff.pipeline.templates import TemplatePipeline
from streamdiff.testing import GaussianProfile, Scene
from streamdiff_coadd import MeanCoadder
from streamdiff_warp import LanczosWarper

SKYMAP = SkyMap(nside_order=8, patch_pixels=160, overlap_pixels=20)
TRACT = 1000
PATCH = SKYMAP.patches_per_side // 2 * (SKYMAP.patches_per_side + 1)
TEMPLATE = TemplateId(tract=TRACT, patch=PATCH, band="r")
RA, DEC = (float(v) for v in SKYMAP.wcs(TRACT, PATCH).wcs_pix2world(80, 80, 0))
SCENE = replace(Scene.star_field(shape=(100, 100), seed=5), ra=RA, dec=DEC)


def visit(number, *, uri="sky", band="r", event_id=None):
    return VisitReady(
        event_id=event_id or f"visit-{number}",
        instrument="SimCam",
        visit=number,
        detector=0,
        band=band,
        midpoint_mjd_tai=61000.5,
        exposure_time_s=30.0,
        image_uri=uri,
        published_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


NUMBERS = count()


def update(action, *visits, covering=False, band="r", event_id=None):
    return TemplateUpdate(
        event_id=event_id or f"update-{next(NUMBERS)}",
        band=band,
        action=action,
        exposures=visits,
        published_at=datetime(2026, 1, 1, tzinfo=UTC),
        **({} if covering else {"tract": TRACT, "patch": PATCH}),
    )


@dataclass
class Reader:
    """Observes the sky instead of reading a file; the URI says what happens."""

    read_visits: list = field(default_factory=list)

    def read(self, event, files):
        self.read_visits.append(event.visit)
        if event.image_uri == "broken":
            raise UnreadableImageError(f"{event.visit} is truncated")
        if event.image_uri == "away":
            raise StoreUnavailableError("no answer")
        scene = SCENE
        if event.image_uri == "far":
            scene = replace(SCENE, dec=DEC + 2)
        return scene.observe(
            visit=event.visit,
            seed=event.visit,
            wcs=scene.dithered_wcs(dx=0.1 * event.visit),
            psf="unknown",
        )


class Estimator:
    def estimate(self, exposure):
        return GaussianProfile(fwhm=3.5).psf(exposure.shape)


@pytest.fixture
def reader():
    return Reader()


@pytest.fixture
def store(tmp_path):
    return FsspecTemplateStore(f"file://{tmp_path}")


@pytest.fixture
def rebuild(reader, store):
    return TemplatePipeline(
        exposures=ExposureSource(reader=reader, estimator=Estimator(), files=None),
        warper=LanczosWarper(),
        coadder=MeanCoadder(),
        store=store,
        skymap=SKYMAP,
        spool=lambda: nullcontext([]),
        plugin_names={},
        monotonic=lambda: 0.0,
    )


def visits_of(store, version, template_id=TEMPLATE):
    return [event.visit for event in store.events(template_id, version)]


def test_the_first_update_makes_version_1(rebuild, store):
    result = rebuild(update(Action.ADD, visit(1), visit(2)))
    assert (result.outcome, result.version) == (Outcome.PROCESSED, 1)
    assert [i.accepted for i in result.inputs] == [True, True]
    coadd = store.load(TEMPLATE, 1)
    assert coadd.exposure.id == TEMPLATE
    assert coadd.exposure.shape == SKYMAP.shape(TRACT, PATCH)
    assert coadd.n_image.max() == 2
    assert not isinstance(coadd.exposure.psf, UnknownPsf)


def test_exposures_are_added_to_those_of_the_newest_version(rebuild, store, reader):
    rebuild(update(Action.ADD, visit(1), visit(2)))
    result = rebuild(update(Action.ADD, visit(3)))
    assert visits_of(store, result.version) == [1, 2, 3]
    assert reader.read_visits == [1, 2, 3], "warps of old exposures are cached"


def test_adding_equals_building_from_all(rebuild, store):
    rebuild(update(Action.ADD, visit(1), visit(2)))
    grown = rebuild(update(Action.ADD, visit(3)))
    whole = rebuild(update(Action.REPLACE, visit(1), visit(2), visit(3)))
    images = [store.load(TEMPLATE, r.version).exposure.image for r in (grown, whole)]
    np.testing.assert_array_equal(*images)


def test_an_exposure_added_again_is_replaced(rebuild, store):
    rebuild(update(Action.ADD, visit(1), visit(2)))
    again = visit(1, event_id="better")
    result = rebuild(update(Action.ADD, again))
    assert store.events(TEMPLATE, result.version) == (again, visit(2))


def test_the_order_in_which_exposures_come_makes_no_difference(rebuild, store):
    versions = []
    for numbers in ((1, 2, 3), (3, 1, 2)):
        rebuild(update(Action.RETIRE))
        for number in numbers:
            version = rebuild(update(Action.ADD, visit(number))).version
        versions.append(version)
    assert [visits_of(store, v) for v in versions] == [[1, 2, 3]] * 2
    images = [store.load(TEMPLATE, v).exposure.image for v in versions]
    np.testing.assert_array_equal(*images)


@pytest.fixture
def demanding(rebuild):
    """Return a pipeline that builds nothing of fewer than three exposures."""
    return replace(rebuild, coadder=MeanCoadder(min_inputs=3))


def test_exposures_that_are_too_few_wait_for_others(demanding, store):
    events = [update(Action.ADD, visit(number)) for number in (1, 2, 3)]
    results = [demanding(event) for event in events]
    assert [r.reason for r in results] == [Reason.INSUFFICIENT_EPOCHS] * 2 + [None]
    assert "held" in results[0].inputs[0].reason
    assert visits_of(store, results[2].version) == [1, 2, 3]
    # Each of them is known when it is delivered again.
    again = [demanding(event) for event in events]
    assert [r.version for r in again] == [0, 0, results[2].version]
    assert [r.reason for r in again] == [r.reason for r in results]


def test_exposures_that_wait_are_no_template(demanding, store):
    demanding(update(Action.ADD, visit(1), visit(2), visit(3)))
    assert demanding(update(Action.REMOVE, visit(1), visit(2))).version == 0
    assert visits_of(store, store.newest(TEMPLATE)) == [1, 2, 3]
    result = demanding(update(Action.ADD, visit(4), visit(5)))
    assert visits_of(store, result.version) == [3, 4, 5]
    assert store.newest(TEMPLATE) == result.version


def test_retirement_forgets_what_waits(demanding, store):
    demanding(update(Action.ADD, visit(1), visit(2)))
    demanding(update(Action.RETIRE))
    assert demanding(update(Action.ADD, visit(3))).reason is Reason.INSUFFICIENT_EPOCHS
    assert store.current(TEMPLATE) == (visit(3),)


def test_replace_forgets_what_was_there(rebuild, store):
    rebuild(update(Action.ADD, visit(1), visit(2)))
    assert visits_of(store, rebuild(update(Action.REPLACE, visit(3))).version) == [3]


def test_remove_takes_exposures_out(rebuild, store):
    rebuild(update(Action.ADD, visit(1), visit(2)))
    assert visits_of(store, rebuild(update(Action.REMOVE, visit(1))).version) == [2]


def test_removing_everything_is_a_skip(rebuild, store):
    rebuild(update(Action.ADD, visit(1)))
    result = rebuild(update(Action.REMOVE, visit(1)))
    assert result.reason is Reason.INSUFFICIENT_EPOCHS
    assert "retire" in result.detail
    assert store.newest(TEMPLATE) == 1


def test_rebuild_starts_from_the_images(rebuild, store, reader):
    rebuild(update(Action.ADD, visit(1)))
    result = rebuild(update(Action.REBUILD))
    assert (result.version, visits_of(store, 2)) == (2, [1])
    assert reader.read_visits == [1, 1]


def test_rebuilding_what_is_not_there_is_a_skip(rebuild):
    assert rebuild(update(Action.REBUILD)).outcome is Outcome.SKIPPED


def test_a_retired_template_is_gone(rebuild, store):
    rebuild(update(Action.ADD, visit(1)))
    assert rebuild(update(Action.RETIRE)).outcome is Outcome.PROCESSED
    assert store.newest(TEMPLATE) is None


def test_an_update_delivered_again_changes_nothing(rebuild, store, reader):
    event = update(Action.ADD, visit(1))
    first = rebuild(event)
    rebuild(update(Action.ADD, visit(2)))
    again = rebuild(event)
    assert (again.version, again.inputs) == (first.version, first.inputs)
    assert again.metrics == first.metrics
    assert store.newest(TEMPLATE) == 2
    assert reader.read_visits == [1, 2]


def test_a_retirement_delivered_again_does_not_retire_what_came_after(rebuild, store):
    rebuild(update(Action.ADD, visit(1)))
    retire = update(Action.RETIRE)
    rebuild(retire)
    rebuild(update(Action.ADD, visit(2)))
    rebuild(retire)
    assert visits_of(store, store.newest(TEMPLATE)) == [2]


@dataclass
class RacingStore:
    """A store in which another writer is always a little faster."""

    store: FsspecTemplateStore
    rival: TemplatePipeline
    updates: list

    def save(self, coadd, events, **how):
        if self.updates:
            self.rival(self.updates.pop())
        return self.store.save(coadd, events, **how)

    def __getattr__(self, name):
        return getattr(self.store, name)


def test_two_updates_at_the_same_time_both_count(rebuild, store):
    rivals = [update(Action.ADD, visit(2)), update(Action.ADD, visit(3))]
    racing = replace(rebuild, store=RacingStore(store, rebuild, rivals))
    result = racing(update(Action.ADD, visit(1)))
    assert result.version == 3
    assert sorted(visits_of(store, 3)) == [1, 2, 3]
    whole = rebuild(update(Action.REPLACE, *store.events(TEMPLATE, 3)))
    images = [store.load(TEMPLATE, v).exposure.image for v in (3, whole.version)]
    np.testing.assert_array_equal(*images)


def test_races_that_never_end_are_a_passing_fault(rebuild, store):
    rivals = [update(Action.ADD, visit(n)) for n in range(2, 9)]
    racing = replace(rebuild, store=RacingStore(store, rebuild, rivals))
    with pytest.raises(VersionConflictError):
        racing(update(Action.ADD, visit(1)))


def test_one_unreadable_exposure_does_not_spoil_the_others(rebuild, store):
    result = rebuild(update(Action.ADD, visit(1), visit(2, uri="broken")))
    assert result.outcome is Outcome.PROCESSED
    refused = [i for i in result.inputs if not i.accepted]
    assert [(i.id.visit, i.reason) for i in refused] == [(2, "2 is truncated")]
    assert visits_of(store, 1) == [1]
    assert store.load(TEMPLATE, 1).inputs == result.inputs


def test_the_maps_of_inputs_have_room_for_unreadable_ones(rebuild, store):
    mapped = replace(rebuild, coadder=MeanCoadder(input_map=True, artifact_map=True))
    good = [visit(number) for number in range(1, 9)]
    mapped(update(Action.ADD, *good, visit(9, uri="broken")))
    coadd = store.load(TEMPLATE, 1)
    assert [coadd.uses(n).any() for n in range(9)] == [True] * 8 + [False]
    assert not any(coadd.clips(n).any() for n in range(9))


def test_a_flavour_has_a_coadder_of_its_own(rebuild, store):
    sharpest = {"good_seeing": MeanCoadder(best_fraction=0.5)}
    flavoured = replace(rebuild, flavours=sharpest)
    event = update(Action.ADD, visit(1), visit(2))
    good = flavoured(replace(event, template_name="good_seeing"))
    assert [i.accepted for i in good.inputs].count(True) == 1
    assert set(good.stage_seconds) == {"read", "psf", "warp", "coadd.good_seeing"}
    deep = flavoured(event)
    assert [i.accepted for i in deep.inputs].count(True) == 2
    assert store.newest(good.template_id) == store.newest(deep.template_id) == 1


def test_an_exposure_left_out_by_the_coadder_is_tried_again(rebuild, store):
    choosy = replace(rebuild, coadder=MeanCoadder(best_fraction=0.5))
    first = choosy(update(Action.ADD, visit(1), visit(2)))
    assert [i.accepted for i in first.inputs].count(True) == 1
    assert visits_of(store, 1) == [1, 2]
    again = rebuild(update(Action.REBUILD))
    assert [i.accepted for i in again.inputs] == [True, True]


def test_nothing_but_unreadable_exposures_is_a_failure(rebuild, store):
    with pytest.raises(UnreadableImageError, match="1 is truncated"):
        rebuild(update(Action.ADD, visit(1, uri="broken")))
    assert store.newest(TEMPLATE) is None


def test_a_passing_fault_is_passed_on(rebuild):
    with pytest.raises(StoreUnavailableError):
        rebuild(update(Action.ADD, visit(1), visit(2, uri="away")))


def test_an_exposure_in_another_band_is_refused(rebuild):
    result = rebuild(update(Action.ADD, visit(1), visit(2, band="i")))
    assert [i.accepted for i in result.inputs] == [True, False]
    assert "band 'i'" in result.inputs[1].reason


def test_an_exposure_elsewhere_on_the_sky_is_refused(rebuild):
    result = rebuild(update(Action.ADD, visit(1), visit(2, uri="far")))
    assert [i.accepted for i in result.inputs] == [True, False]


def test_covering_becomes_one_event_per_patch(rebuild):
    added = [visit(1), visit(2)]
    event = update(Action.ADD, *added, covering=True, event_id="update")
    events = rebuild.expand(event)
    assert (TRACT, PATCH) in [(e.tract, e.patch) for e in events]
    assert len({e.event_id for e in events}) == len(events)
    for event in events:
        assert event.event_id == f"update/{event.tract}/{event.patch}"
        assert [v.visit for v in event.exposures] == [1, 2]


def test_each_patch_gets_the_exposures_that_touch_it():
    near = SCENE.wcs, SCENE.shape
    far = replace(SCENE, dec=DEC + 2).wcs, SCENE.shape
    event = update(Action.ADD, visit(1), visit(2), visit(3), covering=True)
    events = per_patch(event, [near, far, None], SKYMAP)
    touching = [[v.visit for v in e.exposures] for e in events]
    assert [1, 3] in touching
    assert [2, 3] in touching
    assert all(3 in visits for visits in touching)


def test_an_event_for_one_patch_is_not_expanded(rebuild, reader):
    event = update(Action.ADD, visit(1))
    assert rebuild.expand(event) == (event,)
    assert not reader.read_visits


def test_covering_with_good_and_bad_exposures_builds_the_good_ones(rebuild, store):
    added = [visit(1), visit(2, uri="broken"), visit(3)]
    for event in rebuild.expand(update(Action.ADD, *added, covering=True)):
        result = rebuild(event)
        assert [i.accepted for i in result.inputs] == [True, True, False]
        assert result.inputs[2].reason == "2 is truncated"
        assert {"n_inputs", "coverage"} <= set(result.metrics)
        built = visits_of(store, result.version, event.template_id)
        assert built == [1, 3]


def test_covering_with_no_readable_exposure_is_an_error(rebuild):
    with pytest.raises(UnreadableImageError):
        rebuild.expand(update(Action.ADD, visit(1, uri="broken"), covering=True))
