"""Files are read below their roots, and nowhere else."""

import hashlib
from pathlib import Path
from urllib.parse import quote

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamdiff.adapters.files import RootedFiles
from streamdiff.errors import (
    ChecksumMismatchError,
    ConfigError,
    ForbiddenUriError,
    StoreUnavailableError,
    StreamdiffError,
    TooLargeError,
    UnreadableImageError,
)

CONTENT = b"pixels"


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a b.fits").write_bytes(CONTENT)
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "data-too").mkdir()
    (tmp_path / "data-too" / "x").write_bytes(b"secret")
    return folder


@pytest.mark.parametrize(
    "spelling",
    ["{}/a b.fits", "file://{}/a%20b.fits", "FILE://localhost{}/./a b.fits"],
)
def test_every_spelling_of_a_path_is_read(root, spelling):
    assert RootedFiles([str(root)]).fetch(spelling.format(root)) == CONTENT


@pytest.mark.parametrize(
    "spelling",
    [
        "{}/../secret",
        "file://{}/%2e%2e/secret",
        "{}-too/x",
        "file://host{}/a b.fits",
        "/etc/passwd",
        "simplecache::file://{}/a b.fits",
        "",
        "memory://bucket/x",
        "{}/a\0b",
    ],
)
def test_what_lies_outside_is_forbidden(root, spelling):
    with pytest.raises(ForbiddenUriError):
        RootedFiles([str(root)]).fetch(spelling.format(root))


def test_symbolic_link_out_of_the_root_is_forbidden(root):
    (root / "link").symlink_to(root.parent / "secret")
    with pytest.raises(ForbiddenUriError):
        RootedFiles([str(root)]).fetch(f"{root}/link")


@given(
    parts=st.lists(
        st.sampled_from(["..", ".", "", "data", "secret", "%2e%2e", "a b.fits", "\\"]),
        max_size=8,
    ),
    prefix=st.sampled_from(["", "file://", "file:", "FILE://localhost"]),
    encoded=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_spelling_escapes(root, parts, prefix, encoded):
    tail = "/".join(parts)
    uri = f"{prefix}{root}/{quote(tail, safe='') if encoded else tail}"
    try:
        content = RootedFiles([f"file://{root}"]).fetch(uri)
    except StreamdiffError:
        return
    assert content == CONTENT


def test_checksum_must_match(root):
    files, uri = RootedFiles([str(root)]), f"{root}/a b.fits"
    right = hashlib.sha256(CONTENT).hexdigest().upper()
    assert files.fetch(uri, sha256=right) == CONTENT
    with pytest.raises(ChecksumMismatchError, match="announced"):
        files.fetch(uri, sha256="0" * 64)


def test_large_file_is_refused(root):
    with pytest.raises(TooLargeError, match="max_image_mib"):
        RootedFiles([str(root)], max_mib=5 / (1 << 20)).fetch(f"{root}/a b.fits")


@pytest.mark.parametrize("name", ["missing", "."])
def test_missing_file_is_unreadable(root, name):
    with pytest.raises(UnreadableImageError):
        RootedFiles([str(root)]).fetch(f"{root}/{name}")


def test_fault_of_the_storage_is_worth_another_try(root, monkeypatch):
    def fail(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(fsspec.get_filesystem_class("file"), "info", fail)
    with pytest.raises(StoreUnavailableError, match="Input/output"):
        RootedFiles([str(root)]).fetch(f"{root}/a b.fits")


def test_other_storage_is_read_below_its_root():
    fsspec.filesystem("memory").pipe("/bucket/visits/x.fits", CONTENT)
    files = RootedFiles(["memory://bucket/visits"])
    assert files.fetch("memory://bucket/visits/x.fits") == CONTENT
    with pytest.raises(ForbiddenUriError):
        files.fetch("memory://bucket/other.fits")


def test_root_that_climbs_is_a_configuration_error():
    with pytest.raises(ConfigError, match="roots"):
        RootedFiles([str(Path("/data/../etc"))])


@pytest.mark.parametrize("host", ["user:s3cret@host", "user%3As3cret%40host"])
def test_credentials_in_a_uri_are_refused_and_not_repeated(host):
    files = RootedFiles(roots=["http://host"])
    with pytest.raises(ForbiddenUriError, match="credentials") as error:
        files.fetch(f"http://{host}/image.fits")
    assert "s3cret" not in str(error.value)
