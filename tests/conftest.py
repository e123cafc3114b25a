"""Fixtures of all tests."""

import os
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Third-party frames, alerts and messages kept beside the checkout."""
    folder = os.environ.get("STREAMDIFF_TEST_DATA")
    path = Path(folder) if folder else CHECKOUT.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"no third-party data in {path}: set STREAMDIFF_TEST_DATA")
    return path
