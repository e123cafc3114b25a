"""Every manifest is valid for who reads it, and they agree with each other."""

import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import click
import kubernetes_validate
import pytest

from streamdiff.app.topics import Topics
from streamdiff.cli.program import program
from streamdiff.config import Settings, load


def tool(name):
    return Path(sys.executable).with_name(name)


def run(*command):
    done = subprocess.run(  # noqa: S603 - checkers, on our own files
        list(map(str, command)), check=False, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def settings(deploy):
    return load(deploy / "streamdiff.toml", {})


def test_the_compose_file_follows_its_specification(deploy):
    code, told = run(
        tool("check-jsonschema"),
        *("--builtin-schema", "vendor.compose-spec"),
        deploy / "compose.yaml",
    )
    assert code == 0, told


@pytest.mark.parametrize("name", ["namespace", "service", "statefulset"])
def test_manifests_follow_the_schemas_of_kubernetes(documents, name):
    for manifest in documents(f"kubernetes/{name}.yaml"):
        kubernetes_validate.validate(manifest, "1.33", strict=True)


def test_a_wrong_manifest_would_be_noticed(documents):
    (manifest,) = documents("kubernetes/statefulset.yaml")
    manifest["spec"]["template"]["spec"]["containers"][0]["imagee"] = "x"
    with pytest.raises(kubernetes_validate.ValidationError, match="imagee"):
        kubernetes_validate.validate(manifest, "1.33", strict=True)


def test_the_kustomization_names_files_that_are_there(deploy, documents):
    (all_of_it,) = documents("kustomization.yaml")
    for name in all_of_it["resources"]:
        assert (deploy / name).is_file()
    (generated,) = all_of_it["configMapGenerator"]
    for name in generated["files"]:
        assert (deploy / name).is_file()


def test_the_dockerfile_follows_its_linter(deploy):
    # the versions of Debian packages and of the base image are the builder's choice
    code, told = run(tool("hadolint"), deploy / "Dockerfile")
    assert code == 0, told


@pytest.mark.parametrize("name", ["streamdiff.service", "streamdiff-monitor.service"])
def test_a_systemd_unit_is_valid(deploy, tmp_path, name):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze on this machine")
    unit = tmp_path / name
    text = (deploy / name).read_text()
    unit.write_text(
        text.replace("/opt/streamdiff/bin/streamdiff", shutil.which("true"))
    )
    code, told = run(analyze, "verify", unit)
    assert (code, told) == (0, "")


@pytest.mark.parametrize("name", ["streamdiff.service", "streamdiff-monitor.service"])
def test_a_systemd_unit_calls_a_command_that_there_is(deploy, name):
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(deploy / name)
    _, command, *arguments = unit["Service"]["ExecStart"].split()
    known = program.get_command(click.Context(program), command)
    given, rest, _ = known.make_parser(click.Context(known)).parse_args(arguments)
    assert rest == []
    assert given["path"] == "/etc/streamdiff/streamdiff.toml"
    assert unit["Service"]["DynamicUser"] == "yes"


def test_the_configuration_is_one_and_differs_from_the_defaults_by_intention(settings):
    settings.require_service()
    assert settings.stream.delivery == "exactly_once"
    assert settings.stream.group == Settings().stream.group


def test_pods_are_given_longer_than_they_drain_and_drain_longer_than_half_a_visit(
    settings, pods, documents
):
    grace_s = pods["terminationGracePeriodSeconds"]
    assert settings.stream.drain_timeout_s < grace_s
    (compose,) = documents("compose.yaml")
    assert compose["x-streamdiff"]["stop_grace_period"] == f"{grace_s // 60}m"


def test_every_process_has_a_name_of_its_own(pods, documents):
    (container,) = pods["containers"]
    name = {"fieldRef": {"fieldPath": "metadata.name"}}
    instance = {"name": "STREAMDIFF__STREAM__INSTANCE", "valueFrom": name}
    assert instance in container["env"]
    (compose,) = documents("compose.yaml")
    names = [
        service["environment"]["STREAMDIFF__STREAM__INSTANCE"]
        for key, service in compose["services"].items()
        if key.startswith("streamdiff")
    ]
    assert len(names) == len(set(names)) == 2


def test_scaling_looks_at_the_topic_and_group_of_the_configuration(settings, documents):
    (scaled,) = documents("kubernetes/scaling.yaml")
    assert scaled["apiVersion"] == "keda.sh/v1alpha1"
    (trigger,) = scaled["spec"]["triggers"]
    seen = trigger["metadata"]
    assert seen["topic"] == Topics(settings.stream.topic_prefix).visit_ready
    assert seen["consumerGroup"] == settings.stream.group
    assert all(isinstance(value, str) for value in seen.values())
    (target,) = documents("kubernetes/statefulset.yaml")
    wanted = {"kind": target["kind"], "name": target["metadata"]["name"]}
    assert wanted.items() <= scaled["spec"]["scaleTargetRef"].items()


def test_what_is_written_to_is_a_volume_and_the_rest_read_only(pods, deploy):
    (container,) = pods["containers"]
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"]
    assert not security["allowPrivilegeEscalation"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert pods["securityContext"]["runAsNonRoot"]
    writable = {
        mount["mountPath"]
        for mount in container["volumeMounts"]
        if not mount.get("readOnly")
    }
    dockerfile = (deploy / "Dockerfile").read_text()
    for name in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR", "TMPDIR"):
        folder = re.search(rf"{name}=(\S+)", dockerfile)[1]
        assert any(folder.startswith(path) for path in writable)
    user = re.search(r"^USER (\d+):(\d+)$", dockerfile, re.MULTILINE)
    assert int(user[1]) == pods["securityContext"]["runAsUser"] > 0


def test_all_topics_are_made(documents, settings):
    (compose,) = documents("compose.yaml")
    (script,) = compose["services"]["topics"]["command"]
    topics = Topics(settings.stream.topic_prefix)
    for name in (
        topics.visit_ready,
        topics.template_update,
        topics.alerts(0, ""),
        topics.visit_processed,
        topics.template_rebuilt,
        topics.dead_letter,
    ):
        assert name.removeprefix("streamdiff.") in re.findall(r"[\w-]+", script)
