import urllib.error
import urllib.request
from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry

from streamdiff.adapters.http import HealthServer
from streamdiff.errors import ConfigError
from streamdiff.metrics import Metrics


@dataclass
class Health:
    is_alive: bool = True
    is_ready: bool = False


@pytest.fixture
def health():
    return Health()


@pytest.fixture
def get(health):
    metrics = Metrics(CollectorRegistry())
    metrics.workers.set(3)
    server = HealthServer("127.0.0.1:0", health=health, registry=metrics.registry)

    def get(path):
        try:
            url = f"http://127.0.0.1:{server.port}{path}"
            with urllib.request.urlopen(url) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, ""

    with server:
        yield get


def test_a_live_process_says_so(get):
    assert get("/livez") == (200, "ok\n")


def test_a_process_that_is_not_ready_says_so(get, health):
    assert get("/readyz")[0] == 503
    health.is_ready = True
    assert get("/readyz")[0] == 200


def test_metrics_are_served(get):
    assert "streamdiff_workers 3.0" in get("/metrics")[1]


def test_other_paths_are_not_found(get):
    assert get("/")[0] == 404


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:99999", "256.0.0.1:80"])
def test_an_address_that_can_not_be_used_is_a_config_error(address):
    with pytest.raises(ConfigError, match="http = "):
        HealthServer(address, health=Health(), registry=CollectorRegistry())
