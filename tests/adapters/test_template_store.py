import threading
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from streamdiff.adapters.fits.coadd import decode_coadd, encode_coadd
from streamdiff.adapters.template_store import FsspecTemplateStore
from streamdiff.errors import (
    ChecksumMismatchError,
    ConfigError,
    InvalidExposureError,
    StoreUnavailableError,
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


@pytest.fixture(params=["file", "memory"])
def uri(request, tmp_path):
    if request.param == "file":
        return f"file://{tmp_path}/templates"
    return f"memory://{tmp_path.name}-{id(tmp_path)}/templates"


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
    assert [store.save(coadd(v), [visit(1)]) for v in (1.0, 2.0)] == [1, 2]
    other = FsspecTemplateStore(uri)
    assert other.newest(TEMPLATE) == 2
    assert other.load(TEMPLATE, 1).exposure.image[0, 0] == 1
    assert other.load(TEMPLATE, 2).exposure.image[0, 0] == 2


def test_events_come_back_as_they_were(store):
    events = (visit(1), replace(visit(2), image_sha256="ab", template_version=3))
    assert store.events(TEMPLATE, store.save(coadd(), events)) == events


def test_templates_do_not_mix(store):
    store.save(coadd(), [])
    assert store.newest(replace(TEMPLATE, band="i")) is None
    assert store.newest(replace(TEMPLATE, name="shallow")) is None


def test_a_version_without_manifest_does_not_exist(local):
    store, folder = local
    store.save(coadd(1.0), [visit(1)])
    (folder / "v000002").mkdir()
    (folder / "v000002" / "coadd.fits").write_bytes(b"half a fi")
    assert store.newest(TEMPLATE) == 1
    assert store.load(TEMPLATE, 2) is None
    assert store.save(coadd(3.0), []) == 3
    assert store.newest(TEMPLATE) == 3


def test_changed_bytes_are_noticed(local):
    store, folder = local
    store.save(coadd(), [])
    path = folder / "v000001" / "coadd.fits"
    content = bytearray(path.read_bytes())
    content[-3000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ChecksumMismatchError, match="sha256"):
        store.load(TEMPLATE, 1)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"version": 1}', b"\xff"])
def test_a_damaged_manifest_is_noticed(local, content):
    store, folder = local
    store.save(coadd(), [])
    (folder / "v000001" / "manifest.json").write_bytes(content)
    with pytest.raises(ChecksumMismatchError, match="manifest"):
        store.load(TEMPLATE, 1)


def test_writers_at_the_same_time_get_versions_of_their_own(uri):
    barrier, versions = threading.Barrier(6), []

    def write(value):
        barrier.wait()
        versions.append((FsspecTemplateStore(uri).save(coadd(value), []), value))

    threads = [threading.Thread(target=write, args=(float(v),)) for v in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(v for v, _ in versions) == [1, 2, 3, 4, 5, 6]
    reader = FsspecTemplateStore(uri)
    for version, value in versions:
        assert reader.load(TEMPLATE, version).exposure.image[0, 0] == value


def test_a_retired_template_is_invisible_until_it_is_built_again(store):
    store.save(coadd(), [])
    store.retire(TEMPLATE)
    assert store.newest(TEMPLATE) is None
    assert store.load(TEMPLATE, 1) is not None
    assert store.save(coadd(), []) == 2
    assert store.newest(TEMPLATE) == 2


def test_retiring_what_is_not_there_does_nothing(store):
    store.retire(TEMPLATE)
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
    (path,) = (folder / "warps").iterdir()
    path.write_bytes(path.read_bytes()[:5000])
    assert store.load_warp(TEMPLATE, visit(1)) is None


def test_nothing_temporary_is_left_behind(local):
    store, folder = local
    store.save(coadd(), [])
    store.save_warp(TEMPLATE, visit(1), SCENE.observe())
    files = sorted(p.name for p in folder.rglob("*") if p.is_file())
    assert files[:2] == ["Sim%2FCam-1-2-" + files[0][14:], "coadd.fits"]
    assert files[2:] == ["manifest.json"]


def test_files_are_readable_by_everyone_that_the_umask_allows(local):
    store, folder = local
    store.save(coadd(), [])
    other = folder / "other"
    other.touch()
    modes = {path.stat().st_mode for path in folder.rglob("*") if path.is_file()}
    assert modes == {other.stat().st_mode}


@pytest.mark.parametrize("content", [b"", b"[]", b'{"through": null}'])
def test_a_damaged_mark_of_retirement_is_noticed(local, content):
    store, folder = local
    store.retire(TEMPLATE)
    (folder / "retired.json").write_bytes(content)
    with pytest.raises(ChecksumMismatchError, match=r"retired\.json is damaged"):
        store.newest(TEMPLATE)


def test_coadds_are_read_once_while_there_is_room(local):
    store, folder = local
    for value in (1.0, 2.0):
        store.save(coadd(value), [])
    first = store.load(TEMPLATE, 1)
    assert store.load(TEMPLATE, 1) is first

    planes = 20 * 24 * 20 + 2 * 2 * 25 * 8
    small = FsspecTemplateStore(f"file://{folder.parents[3]}", 1.5 * planes / 2**20)
    first = small.load(TEMPLATE, 1)
    small.load(TEMPLATE, 2)
    assert small.load(TEMPLATE, 1) is not first


def test_an_exposure_is_no_template(store):
    exposure = replace(coadd().exposure, id=visit(1).exposure_id)
    with pytest.raises(InvalidExposureError, match="not the id of a template"):
        store.save(replace(coadd(), exposure=exposure), [])


def test_an_unknown_file_system_is_a_configuration_error():
    with pytest.raises(ConfigError, match="nosuch"):
        FsspecTemplateStore("nosuch://somewhere")


def test_a_store_that_can_not_be_written_is_unavailable(tmp_path):
    (tmp_path / "deep").write_text("a file where a folder should be")
    with pytest.raises(StoreUnavailableError, match="deep"):
        FsspecTemplateStore(f"file://{tmp_path}").save(coadd(), [])
