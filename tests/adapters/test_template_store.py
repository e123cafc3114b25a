import errno
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from streamdiff.adapters.fits.coadd import decode_coadd, encode_coadd
from streamdiff.adapters.folder import Folder
from streamdiff.adapters.template_store import FsspecTemplateStore, Keep
from streamdiff.errors import (
    ChecksumMismatchError,
    ConfigError,
    InvalidExposureError,
    StoreUnavailableError,
    VersionConflictError,
)
from streamdiff.model import Coadd, CoaddInput, GridPsf, TemplateId, VisitReady
from streamdiff.testing import Scene

TEMPLATE = TemplateId(tract=3, patch=5, band="r")
SCENE = Scene(shape=(20, 24))


def visit(number, event_id="e"):
    return VisitReady(
        event_id=f"{event_id}{number}",
        instrument="Sim/Cam",
        visit=number,
        detector=2,
        band="r",
        midpoint_mjd_tai=61000.5,
        exposure_time_s=30.0,
        image_uri=f"file:///data/{number}.fits",
        published_at=datetime(2026, 1, 2, 3, 4, 5, 6789, UTC),
    )


def coadd(value=1.0, template_id=TEMPLATE, scene=SCENE):
    observed = scene.observe()
    stamps = np.random.default_rng(1).uniform(0.1, 1, (2, 2, 5, 5))
    factor = np.linspace(1, 2, observed.image.size).reshape(observed.shape)
    exposure = replace(
        observed,
        id=template_id,
        image=np.full(observed.shape, value, np.float32),
        psf=GridPsf(stamps=stamps, x=[0.0, 23.0], y=[0.0, 19.0]),
        covariance_factor=factor.astype(np.float32),
        midpoint_mjd_tai=np.nan,
    )
    ids = [visit(n).exposure_id for n in (1, 2)]
    inputs = (
        CoaddInput(id=ids[0], weight=1.0),
        CoaddInput(id=ids[1], weight=0.0, accepted=False, reason="a cloud"),
    )
    return Coadd(
        exposure=exposure,
        n_image=np.full(observed.shape, 2),
        inputs=inputs,
        metrics={"n_inputs": 1.0, "mean_variance": 100.25},
    )


@pytest.fixture(params=["file", "memory", "s3"])
def uri(request, tmp_path):
    if request.param == "file":
        return f"file://{tmp_path}/templates"
    if request.param == "memory":
        return f"memory://{tmp_path.name}-{id(tmp_path)}/templates"
    return f"{request.getfixturevalue('bucket')}/{tmp_path.name}"


def save(store, value=1.0, events=(), *, after=None, update_id="update"):
    """Save a coadd after the last one."""
    if after is None:
        after = store.last(TEMPLATE)
    return store.save(coadd(value), list(events), after=after, update_id=update_id)


# Copies the first version, and kills itself while it writes a certain file.
KILLED_WRITER = """
import os, signal
from dataclasses import replace
from streamdiff.adapters.template_store import FsspecTemplateStore
from streamdiff.model import TemplateId

store = FsspecTemplateStore("{uri}")
template = TemplateId(tract=3, patch=5, band="r")
fsync = os.fsync

def killing(number):
    path = os.readlink(f"/proc/self/fd/{{number}}")
    if replaced["next"].startswith("{stop_at}"):
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(number)

import streamdiff.adapters.whole_file as whole_file
beside, replaced = whole_file.temporary_beside, {{}}
import streamdiff.adapters.folder as folder

def noting(path, content):
    replaced["next"] = path.name
    return beside(path, content)

folder.temporary_beside, os.fsync = noting, killing
store.save(store.load(template, 1), [], after=1, update_id="killed")
"""


@pytest.fixture
def store(uri):
    return FsspecTemplateStore(uri)


@pytest.fixture
def local(tmp_path):
    return FsspecTemplateStore(f"file://{tmp_path}"), tmp_path / str(TEMPLATE)


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


def test_changed_bytes_are_noticed(store, uri):
    save(store)
    folder, version = Folder.at(uri), f"{TEMPLATE}/v000001"
    (name,) = (n for n in folder.names(version) if n.startswith("coadd-"))
    content = bytearray(folder.read(f"{version}/{name}"))
    content[-3000] ^= 1
    folder.write(f"{version}/{name}", bytes(content))
    with pytest.raises(ChecksumMismatchError, match="sha256"):
        store.load(TEMPLATE, 1)


def test_a_coadd_that_is_lost_is_noticed(local):
    store, folder = local
    save(store)
    (path,) = (folder / "v000001").glob("coadd-*.fits")
    path.unlink()
    with pytest.raises(ChecksumMismatchError, match="sha256 is no file"):
        store.load(TEMPLATE, 1)


def test_what_another_process_stored_is_seen_past_the_cache(store, uri):
    save(store, 1.0)
    old = store.load(TEMPLATE, store.newest(TEMPLATE))
    other = FsspecTemplateStore(uri)
    save(other, 2.0)
    new = store.load(TEMPLATE, store.newest(TEMPLATE))
    assert (old.exposure.image[0, 0], new.exposure.image[0, 0]) == (1, 2)
    other.retire(TEMPLATE, update_id="retire")
    assert store.newest(TEMPLATE) is None


@pytest.mark.parametrize("content", [b"", b"[]", b'{"version": 1}', b"\xff"])
def test_a_damaged_manifest_is_noticed(local, content):
    store, folder = local
    save(store)
    (folder / "v000001" / "manifest.json").write_bytes(content)
    with pytest.raises(ChecksumMismatchError, match="manifest"):
        store.load(TEMPLATE, 1)


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


def keeping(folder, **keep):
    return FsspecTemplateStore(f"file://{folder.parents[3]}", keep=Keep(**keep))


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


@pytest.mark.parametrize("n_written", [0, 1])
def test_a_disk_that_is_full_leaves_the_store_as_it_was(local, monkeypatch, n_written):
    store, folder = local
    save(store)
    fsync, left = os.fsync, [None] * n_written  # a coadd, then its manifest

    def no_space(number):
        if not left:
            raise OSError(errno.ENOSPC, "No space left on device")
        left.pop()
        fsync(number)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        with pytest.raises(StoreUnavailableError, match="No space left"):
            save(store, 2.0)
    assert store.newest(TEMPLATE) == 1
    assert not [p for p in folder.rglob(".*") if p.is_file()]
    assert save(store, 3.0) == 2
    assert store.load(TEMPLATE, 2).exposure.image[0, 0] == 3


@pytest.mark.parametrize("stop_at", ["coadd-", "manifest"])
def test_a_writer_killed_in_the_middle_leaves_the_store_valid(local, stop_at):
    store, folder = local
    save(store, 1.0)
    script = KILLED_WRITER.format(uri=f"file://{folder.parents[3]}", stop_at=stop_at)
    done = subprocess.run([sys.executable, "-c", script], check=False)  # noqa: S603
    assert done.returncode == -signal.SIGKILL
    fresh = FsspecTemplateStore(f"file://{folder.parents[3]}")
    assert fresh.newest(TEMPLATE) == 1
    assert fresh.load(TEMPLATE, 1).exposure.image[0, 0] == 1
    assert save(fresh, 2.0) == 2
    assert fresh.load(TEMPLATE, 2).exposure.image[0, 0] == 2


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


def test_warps_are_cached_per_event(store):
    warp = SCENE.observe(visit=1)
    assert store.load_warp(TEMPLATE, visit(1)) is None
    store.save_warp(TEMPLATE, visit(1), warp)
    cached = store.load_warp(TEMPLATE, visit(1))
    np.testing.assert_array_equal(cached.image, warp.image)
    assert cached.id == warp.id
    # The same exposure announced anew may have other pixels.
    assert store.load_warp(TEMPLATE, visit(1, "again")) is None


def test_a_damaged_warp_is_no_warp(local):
    store, folder = local
    store.save_warp(TEMPLATE, visit(1), SCENE.observe())
    (path,) = (folder / "warps").glob("*.fits")
    path.write_bytes(path.read_bytes()[:5000])
    assert store.load_warp(TEMPLATE, visit(1)) is None


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


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"through": null}', b'{"through": 1}']
)
def test_a_damaged_mark_of_retirement_is_noticed(local, content):
    store, folder = local
    store.retire(TEMPLATE, update_id="retire")
    (folder / "retired.json").write_bytes(content)
    with pytest.raises(ChecksumMismatchError, match=r"retired\.json is damaged"):
        store.newest(TEMPLATE)


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


def test_a_store_that_can_not_be_written_is_unavailable(tmp_path):
    (tmp_path / "deep").write_text("a file where a folder should be")
    with pytest.raises(StoreUnavailableError, match="deep"):
        save(FsspecTemplateStore(f"file://{tmp_path}"))
