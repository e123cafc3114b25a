import pytest
from stored_coadds import SCENE, TEMPLATE, keeping, save, visit

from streamdiff.adapters.folder import Folder
from streamdiff.adapters.template_store import FsspecTemplateStore
from streamdiff.errors import VersionConflictError


def test_the_number_of_a_collected_version_is_not_given_again(local):
    _, folder = local
    tidy = keeping(folder, versions=1)
    save(tidy, 1.0, update_id="first")
    before = tidy.last(TEMPLATE)
    for value in (2.0, 3.0):
        save(tidy, value, update_id=f"faster-{value}")
        tidy.collect(TEMPLATE)
    with pytest.raises(VersionConflictError):
        save(tidy, 4.0, after=before, update_id="slower")
    assert (tidy.newest(TEMPLATE), tidy.made_by(TEMPLATE, "slower")) == (3, None)
    assert [path.name for path in folder.glob("v000002/*")] == []


def test_everything_is_kept_unless_a_policy_says_otherwise(local):
    store, _ = local
    for value in (1.0, 2.0):
        save(store, value)
    store.retire(TEMPLATE, update_id="retire")
    store.collect(TEMPLATE)
    assert [store.load(TEMPLATE, v) is None for v in (1, 2)] == [False, False]


def test_only_the_newest_versions_are_kept_where_the_policy_says_so(local):
    store, folder = local
    for number in (1, 2, 3):
        save(store, float(number), [visit(number)])
        store.save_warp(TEMPLATE, visit(number), SCENE.observe())
    tidy = keeping(folder, versions=2)
    tidy.collect(TEMPLATE)
    assert [tidy.load(TEMPLATE, v) is None for v in (1, 2, 3)] == [True, False, False]
    warps = [tidy.load_warp(TEMPLATE, visit(number)) for number in (1, 2, 3)]
    assert [warp is None for warp in warps] == [True, False, False]
    assert len(list((folder / "warps").iterdir())) == 4
    assert save(tidy, 4.0) == 4


def test_what_is_held_does_not_count_among_the_versions_kept(local):
    store, folder = local
    save(store, 1.0)
    save(store, 2.0)
    store.hold(TEMPLATE, [visit(1)], after=2, update_id="held")
    tidy = keeping(folder, versions=1)
    tidy.collect(TEMPLATE)
    assert (tidy.newest(TEMPLATE), tidy.load(TEMPLATE, 1)) == (2, None)
    assert tidy.current(TEMPLATE) == (visit(1),)


def test_numbers_go_on_after_a_retired_template_was_collected(local):
    store, folder = local
    save(store)
    save(store)
    store.retire(TEMPLATE, update_id="retire")
    tidy = keeping(folder, retired=False)
    tidy.collect(TEMPLATE)
    assert not list(folder.rglob("coadd*"))
    assert (tidy.newest(TEMPLATE), tidy.last(TEMPLATE)) == (None, 2)
    assert save(tidy) == 3
    assert tidy.newest(TEMPLATE) == 3


def test_what_interrupted_writers_left_is_collected(local):
    store, folder = local
    save(store)
    (folder / "v000001" / "coadd-0123.fits").write_bytes(b"lost a race")
    (folder / "v000002").mkdir()
    started = folder / "v000002" / "coadd-4567.fits"
    started.write_bytes(b"may be finished soon")
    store.collect(TEMPLATE)
    assert len(list((folder / "v000001").iterdir())) == 2
    assert started.exists()


def test_a_version_that_is_collected_while_it_is_read_is_gone(local, monkeypatch):
    store, folder = local
    save(store)
    save(store)
    reading = FsspecTemplateStore(f"file://{folder.parents[3]}")
    read = Folder.read

    def collect_first(self, path):
        if "coadd-" in path:
            keeping(folder, versions=1).collect(TEMPLATE)
        return read(self, path)

    monkeypatch.setattr(Folder, "read", collect_first)
    assert reading.load(TEMPLATE, 1) is None


def test_a_retired_template_is_invisible_until_it_is_built_again(store):
    save(store)
    store.retire(TEMPLATE, update_id="retire")
    assert store.newest(TEMPLATE) is None
    assert store.load(TEMPLATE, 1) is not None
    assert save(store) == 2
    assert store.newest(TEMPLATE) == 2


def test_retiring_what_is_not_there_does_nothing(store):
    store.retire(TEMPLATE, update_id="retire")
    assert store.newest(TEMPLATE) is None
