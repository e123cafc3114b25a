"""A server of object storage, and what the tests of adapters share."""

import sys
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

# what is not a test is shared by the test files of this folder, which are no package
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def object_storage():
    """Give the URL of a server that speaks S3."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(object_storage, monkeypatch):
    """Give the URI of a bucket that the environment has access to."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", object_storage)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    boto3.client("s3").create_bucket(Bucket="templates")
    return "s3://templates"
