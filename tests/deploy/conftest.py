import sys
from pathlib import Path

import pytest
import yaml

# what starts the stack lies in this folder, which is no package
sys.path.insert(0, str(Path(__file__).parent))

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def checkout():
    return CHECKOUT


@pytest.fixture(scope="session")
def deploy():
    return CHECKOUT / "deploy"


@pytest.fixture(scope="session")
def documents(deploy):
    """Return all YAML documents of a file."""

    def read(name):
        return list(yaml.safe_load_all((deploy / name).read_text()))

    return read


@pytest.fixture(scope="session")
def pods(documents):
    """Return the specification of the pods on Kubernetes."""
    (one,) = documents("kubernetes/statefulset.yaml")
    return one["spec"]["template"]["spec"]
