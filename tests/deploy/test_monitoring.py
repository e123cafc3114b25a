"""Dashboard, alarms and README speak of metrics that exist."""

import json
import re

import promql_parser
import pytest
from prometheus_client import CollectorRegistry

from streamdiff.metrics import Metrics


@pytest.fixture(scope="module")
def families():
    registry = CollectorRegistry()
    Metrics(registry)
    return list(registry.collect())


@pytest.fixture(scope="module")
def series(families):
    """Return the names that Prometheus gives to what is measured."""
    ends = {
        "counter": ("_total",),
        "gauge": ("",),
        "histogram": ("_bucket", "_sum", "_count"),
    }
    names = {f.name + end for f in families for end in ends[f.type]}
    return names | {"up", "process_resident_memory_bytes"}


def alarms(documents):
    (all_of_them,) = documents("prometheus/alarms.yml")
    return [rule for group in all_of_them["groups"] for rule in group["rules"]]


@pytest.fixture(scope="module")
def expressions(deploy, documents):
    dashboard = json.loads((deploy / "grafana/dashboard.json").read_text())
    shown = [t["expr"] for panel in dashboard["panels"] for t in panel["targets"]]
    return [*shown, *(rule["expr"] for rule in alarms(documents))]


def test_expressions_are_promql_over_metrics_that_exist(expressions, series):
    for expression in expressions:
        promql_parser.parse(expression)
        names = set(re.findall(r"\b(?:streamdiff_\w+|process_\w+|up)\b", expression))
        assert names, expression
        assert names <= series, expression


def test_labels_of_the_dashboard_are_those_of_the_metrics(expressions, series):
    labels = {"topic", "outcome", "reason", "stage", "kind", "le", "job", "instance"}
    for expression in expressions:
        for group in re.findall(r"by \(([^)]*)\)", expression):
            assert {name.strip() for name in group.split(",")} <= labels


def test_every_metric_is_shown_or_watched(expressions, families):
    told = " ".join(expressions)
    for family in families:
        assert family.name in told, family.name


def test_every_alarm_says_how_bad_it_is_and_what_happened(documents):
    for rule in alarms(documents):
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]


def test_the_readme_lists_every_metric(checkout, families):
    rows = re.findall(
        r"^\| `(streamdiff_\w+)` \| (\w+) \|",
        (checkout / "README.md").read_text(),
        re.MULTILINE,
    )
    assert dict(rows) == {family.name: family.type for family in families}


def test_prometheus_reads_the_alarms(documents):
    (main,) = documents("prometheus/prometheus.yml")
    assert main["rule_files"] == ["/etc/prometheus/alarms.yml"]
    (job,) = main["scrape_configs"]
    (compose,) = documents("compose.yaml")
    targets = job["static_configs"][0]["targets"]
    assert {t.partition(":")[0] for t in targets} <= set(compose["services"])


def test_grafana_finds_the_dashboard_and_its_data(deploy, documents):
    (compose,) = documents("compose.yaml")
    mounts = dict(
        volume.removesuffix(":ro").split(":")
        for volume in compose["services"]["grafana"]["volumes"]
    )
    assert mounts["./grafana/provisioning"] == "/etc/grafana/provisioning"
    (provided,) = documents("grafana/provisioning/dashboards/streamdiff.yaml")
    (provider,) = provided["providers"]
    assert mounts["./grafana/dashboard.json"].startswith(provider["options"]["path"])
    (sources,) = documents("grafana/provisioning/datasources/prometheus.yaml")
    (source,) = sources["datasources"]
    published = compose["services"]["prometheus"]["ports"]
    assert source["url"] == f"http://prometheus:{published[0].rpartition(':')[2]}"
    dashboard = json.loads((deploy / "grafana/dashboard.json").read_text())
    used = {panel["datasource"]["uid"] for panel in dashboard["panels"]}
    assert used == {source["uid"]}
