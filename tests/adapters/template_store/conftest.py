"""Stores on every kind of file system."""

import pytest
from stored_coadds import TEMPLATE

from streamdiff.adapters.template_store import FsspecTemplateStore


@pytest.fixture(params=["file", "memory", "s3"])
def uri(request, tmp_path):
    if request.param == "file":
        return f"file://{tmp_path}/templates"
    if request.param == "memory":
        return f"memory://{tmp_path.name}-{id(tmp_path)}/templates"
    return f"{request.getfixturevalue('bucket')}/{tmp_path.name}"


@pytest.fixture
def store(uri):
    return FsspecTemplateStore(uri)


@pytest.fixture
def local(tmp_path):
    return FsspecTemplateStore(f"file://{tmp_path}"), tmp_path / str(TEMPLATE)
