import errno
import os
import signal
import subprocess
import sys

import pytest
from stored_coadds import SCENE, TEMPLATE, save, visit

from streamdiff.adapters.folder import Folder
from streamdiff.adapters.template_store import FsspecTemplateStore
from streamdiff.errors import ChecksumMismatchError, StoreUnavailableError

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


@pytest.mark.parametrize("content", [b"", b"[]", b'{"version": 1}', b"\xff"])
def test_a_damaged_manifest_is_noticed(local, content):
    store, folder = local
    save(store)
    (folder / "v000001" / "manifest.json").write_bytes(content)
    with pytest.raises(ChecksumMismatchError, match="manifest"):
        store.load(TEMPLATE, 1)


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


def test_a_damaged_warp_is_no_warp(local):
    store, folder = local
    store.save_warp(TEMPLATE, visit(1), SCENE.observe())
    (path,) = (folder / "warps").glob("*.fits")
    path.write_bytes(path.read_bytes()[:5000])
    assert store.load_warp(TEMPLATE, visit(1)) is None


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"through": null}', b'{"through": 1}']
)
def test_a_damaged_mark_of_retirement_is_noticed(local, content):
    store, folder = local
    store.retire(TEMPLATE, update_id="retire")
    (folder / "retired.json").write_bytes(content)
    with pytest.raises(ChecksumMismatchError, match=r"retired\.json is damaged"):
        store.newest(TEMPLATE)


def test_a_store_that_can_not_be_written_is_unavailable(tmp_path):
    (tmp_path / "deep").write_text("a file where a folder should be")
    with pytest.raises(StoreUnavailableError, match="deep"):
        save(FsspecTemplateStore(f"file://{tmp_path}"))
