import threading
from dataclasses import replace

import numpy as np
import pytest
from stored_coadds import SCENE, TEMPLATE, coadd, save, visit

from streamdiff.adapters.fits.coadd import decode_coadd, encode_coadd
from streamdiff.adapters.folder import Folder
from streamdiff.adapters.template_store import FsspecTemplateStore
from streamdiff.errors import ConfigError, InvalidExposureError, VersionConflictError


def test_a_coadd_comes_back_as_it_was_encoded():
    original = coadd()
    copy = decode_coadd(encode_coadd(original))
    for plane in ("image", "variance", "mask", "covariance_factor"):
        np.testing.assert_array_equal(
            getattr(copy.exposure, plane), getattr(original.exposure, plane)
        )
    np.testing.assert_array_equal(copy.n_image, original.n_image)
    np.testing.assert_allclose(copy.exposure.psf.stamps, original.exposure.psf.stamps)
    assert copy.exposure.id == original.exposure.id
    assert copy.inputs == original.inputs
    assert copy.metrics == original.metrics


def test_an_empty_store_has_no_version(store):
    assert store.newest(TEMPLATE) is None
    assert store.load(TEMPLATE, 1) is None
    assert store.events(TEMPLATE, 1) == ()


def test_versions_are_counted_from_1_and_kept(store, uri):
    assert [save(store, v, events=[visit(1)]) for v in (1.0, 2.0)] == [1, 2]
    other = FsspecTemplateStore(uri)
    assert other.newest(TEMPLATE) == 2
    assert other.load(TEMPLATE, 1).exposure.image[0, 0] == 1
    assert other.load(TEMPLATE, 2).exposure.image[0, 0] == 2


def test_events_come_back_as_they_were(store):
    events = (visit(1), replace(visit(2), image_sha256="ab", template_version=3))
    assert store.events(TEMPLATE, save(store, events=events)) == events


def test_templates_do_not_mix(store):
    save(store)
    assert store.newest(replace(TEMPLATE, band="i")) is None
    assert store.newest(replace(TEMPLATE, name="shallow")) is None


def test_a_version_without_manifest_does_not_exist(store, uri):
    save(store, 1.0, events=[visit(1)])
    Folder.at(uri).write(f"{TEMPLATE}/v000002/coadd-0.fits", b"half a fi")
    assert store.newest(TEMPLATE) == 1
    assert store.load(TEMPLATE, 2) is None
    assert save(store, 2.0) == 2
    assert store.load(TEMPLATE, 2).exposure.image[0, 0] == 2


def test_what_another_process_stored_is_seen_past_the_cache(store, uri):
    save(store, 1.0)
    old = store.load(TEMPLATE, store.newest(TEMPLATE))
    other = FsspecTemplateStore(uri)
    save(other, 2.0)
    new = store.load(TEMPLATE, store.newest(TEMPLATE))
    assert (old.exposure.image[0, 0], new.exposure.image[0, 0]) == (1, 2)
    other.retire(TEMPLATE, update_id="retire")
    assert store.newest(TEMPLATE) is None


def test_of_writers_at_the_same_time_one_makes_the_version(uri):
    barrier, made, refused = threading.Barrier(6), [], []

    def write(value):
        store = FsspecTemplateStore(uri)
        barrier.wait()
        try:
            made.append((save(store, value, after=0), value))
        except VersionConflictError as err:
            refused.append(err)

    threads = [threading.Thread(target=write, args=(float(v),)) for v in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ((version, value),) = made
    assert (version, len(refused)) == (1, 5)
    assert "another writer has made version 1" in str(refused[0])
    store = FsspecTemplateStore(uri)
    assert store.load(TEMPLATE, 1).exposure.image[0, 0] == value


def test_a_writer_that_was_too_slow_leaves_nothing(local):
    store, folder = local
    save(store, 1.0)
    with pytest.raises(VersionConflictError):
        save(store, 2.0, after=0)
    names = sorted(p.name for p in (folder / "v000001").iterdir())
    assert len(names) == 2
    assert store.load(TEMPLATE, 1).exposure.image[0, 0] == 1


def test_the_version_that_an_update_made_is_remembered(store):
    assert store.made_by(TEMPLATE, "first") is None
    for update_id in ("first", "second"):
        save(store, update_id=update_id)
    assert store.made_by(TEMPLATE, "first") == 1
    assert store.made_by(TEMPLATE, "second") == 2
    assert store.made_by(TEMPLATE, "third") is None


def test_old_updates_are_forgotten(local, monkeypatch):
    monkeypatch.setattr("streamdiff.adapters.template_store._REMEMBERED", 4)
    store, _ = local
    for number in range(6):
        save(store, update_id=f"update-{number}")
    assert store.made_by(TEMPLATE, "update-1") is None
    assert store.made_by(TEMPLATE, "update-2") == 3


def test_exposures_are_held_without_a_version(store):
    store.hold(TEMPLATE, [visit(1)], after=0, update_id="first")
    assert (store.newest(TEMPLATE), store.load(TEMPLATE, 1)) == (None, None)
    assert store.current(TEMPLATE) == (visit(1),)
    assert store.made_by(TEMPLATE, "first") == 0
    with pytest.raises(VersionConflictError):
        store.hold(TEMPLATE, [visit(2)], after=0, update_id="second")
    version = save(store, events=[visit(1), visit(2)], update_id="third")
    assert store.newest(TEMPLATE) == version
    assert store.made_by(TEMPLATE, "first") == 0


def test_warps_are_cached_per_event(store):
    warp = SCENE.observe(visit=1)
    assert store.load_warp(TEMPLATE, visit(1)) is None
    store.save_warp(TEMPLATE, visit(1), warp)
    cached = store.load_warp(TEMPLATE, visit(1))
    np.testing.assert_array_equal(cached.image, warp.image)
    assert cached.id == warp.id
    # The same exposure announced anew may have other pixels.
    assert store.load_warp(TEMPLATE, visit(1, "again")) is None


def test_nothing_temporary_is_left_behind(local):
    store, folder = local
    save(store)
    store.save_warp(TEMPLATE, visit(1), SCENE.observe())
    files = sorted(p.name for p in folder.rglob("*") if p.is_file())
    warp = f"Sim%2FCam-1-2-{files[0][14:]}"
    assert files == [warp, f"{warp}.sha256", files[2], "manifest.json"]
    assert files[2].startswith("coadd-")


def test_files_are_readable_by_everyone_that_the_umask_allows(local):
    store, folder = local
    save(store)
    other = folder / "other"
    other.touch()
    modes = {path.stat().st_mode for path in folder.rglob("*") if path.is_file()}
    assert modes == {other.stat().st_mode}


def test_coadds_are_read_once_while_there_is_room(local, monkeypatch):
    store, folder = local
    for value in (1.0, 2.0):
        save(store, value)
    read = []
    original = Folder.read

    def counted(self, path):
        if "coadd-" in path:
            read.append(int(path.split("/v")[1][:6]))
        return original(self, path)

    monkeypatch.setattr(Folder, "read", counted)
    first, again = store.load(TEMPLATE, 1), store.load(TEMPLATE, 1)
    assert read == [1]
    np.testing.assert_array_equal(again.exposure.image, first.exposure.image)

    planes = 20 * 24 * 20
    small = FsspecTemplateStore(f"file://{folder.parents[3]}", 1.5 * planes / 2**20)
    for version in (1, 2, 2, 1):
        small.load(TEMPLATE, version)
    assert read[1:] == [1, 2, 1]


def test_an_exposure_is_no_template(store):
    exposure = replace(coadd().exposure, id=visit(1).exposure_id)
    with pytest.raises(InvalidExposureError, match="not the id of a template"):
        store.save(replace(coadd(), exposure=exposure), [], after=0, update_id="u")


def test_an_unknown_file_system_is_a_configuration_error():
    with pytest.raises(ConfigError, match="nosuch"):
        FsspecTemplateStore("nosuch://somewhere")
