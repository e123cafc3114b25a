"""A package of someone else: installed, found, used; and one that is broken.

The package is the example of the README.
"""

import json
import os
import re
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest

from streamdiff.adapters.fits.exposure import encode_exposure
from streamdiff.plugins import KINDS, discover
from streamdiff.testing import PointSource, Scene

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "{name}"
version = "1.2"
dependencies = ["streamdiff"]
[project.entry-points.streamdiff]
{entry_point} = "{module}"
[tool.hatch.build.targets.wheel]
only-include = ["{module}.py"]
"""


def example():
    """Return the code of the README's plugin."""
    (code,) = (c for c in re.findall(r"```python\n(.*?)```", README, re.DOTALL))
    return code


def table(heading):
    """Yield the rows of the README's table with a heading, cells stripped."""
    lines = README.splitlines()
    start = next(i for i, line in enumerate(lines) if heading in line) + 2
    for line in takewhile(lambda line: line.startswith("|"), lines[start:]):
        yield [cell.strip() for cell in line.strip("|").split("|")]


def install(site, source, name, module, code, entry_point):
    project = source / name
    project.mkdir()
    (project / f"{module}.py").write_text(code)
    (project / "pyproject.toml").write_text(
        PYPROJECT.format(name=name, module=module, entry_point=entry_point)
    )
    subprocess.run(  # noqa: S603 - pip of this environment
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-index"),
            *("--no-build-isolation", "--no-deps", "--target", site, project),
            *("--disable-pip-version-check", "--no-compile"),
        ],
        check=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return a folder with two installed packages, one of them broken."""
    folder = tmp_path_factory.mktemp("third_party")
    site = folder / "site"
    install(site, folder, "plain-subtraction", "their_plain", example(), "plain")
    broken = "raise RuntimeError('no licence')"
    install(site, folder, "broken-subtraction", "their_broken", broken, "broken")
    return site


@pytest.fixture(scope="module")
def streamdiff(site):
    """Run the program where these packages are installed too."""

    def run(*arguments):
        return subprocess.run(  # noqa: S603 - the program under test
            [Path(sys.executable).with_name("streamdiff"), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=os.environ | {"PYTHONPATH": str(site)},
        )

    return run


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    sky = Scene.star_field(shape=(160, 160), density_per_mpx=2000, seed=4)
    new = sky.add(PointSource(60, 50, 1e4))
    paths = folder / "science.fits", folder / "template.fits"
    paths[0].write_bytes(encode_exposure(new.observe(fwhm=3, seed=1, visit=2)))
    paths[1].write_bytes(encode_exposure(sky.observe(fwhm=3, seed=2, visit=1)))
    return paths


def subtract(streamdiff, images, folder, options):
    config = folder / "streamdiff.toml"
    config.write_text(options)
    output = folder / "difference.fits"
    done = streamdiff("subtract", *images, "-o", output, "-c", config)
    return done, output


def test_an_installed_plugin_is_listed_with_its_package(streamdiff):
    rows = json.loads(streamdiff("plugins", "list", "--json").stdout)
    assert {
        "kind": "subtract",
        "name": "plain",
        "distribution": "plain-subtraction",
        "version": "1.2",
    } in rows


@pytest.mark.parametrize("flux_ratio", [1.0, 0.5])
def test_an_installed_plugin_is_used_by_name_with_its_option(
    streamdiff, images, tmp_path, flux_ratio
):
    options = (
        "[pipeline]\nsubtract = 'plain'\n"
        f"[plugins.subtract.plain]\nflux_ratio = {flux_ratio}\n"
    )
    done, output = subtract(streamdiff, images, tmp_path, options)
    assert done.returncode == 0, done.stderr
    assert f"kernel sum {flux_ratio:.4f}, convolved none" in done.stdout
    assert output.exists()


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("flux_ratio = -1", "flux_ratio: input should be greater than 0, got -1"),
        ("flux_ration = 1", "flux_ration: there is no such key"),
    ],
)
def test_a_bad_option_of_an_installed_plugin_is_refused(
    streamdiff, images, tmp_path, option, told
):
    options = f"[pipeline]\nsubtract = 'plain'\n[plugins.subtract.plain]\n{option}\n"
    done, _ = subtract(streamdiff, images, tmp_path, options)
    assert done.returncode == 2
    assert told in done.stderr


def test_a_broken_package_is_reported_and_stops_nobody_else(
    streamdiff, images, tmp_path
):
    listed = streamdiff("plugins", "list")
    assert listed.returncode == 0
    assert "broken: 'broken = their_broken' of broken-subtraction 1.2" in listed.stderr
    assert "RuntimeError: no licence" in listed.stderr
    done, output = subtract(streamdiff, images, tmp_path, "")
    assert done.returncode == 0, done.stderr
    assert output.exists()


def test_naming_the_plugin_of_a_broken_package_shows_its_error(
    streamdiff, images, tmp_path
):
    options = "[pipeline]\nsubtract = 'theirs'\n"
    done, output = subtract(streamdiff, images, tmp_path, options)
    assert done.returncode == 2
    assert "RuntimeError: no licence" in done.stderr
    assert "Traceback" not in done.stderr
    assert not output.exists()


def test_the_readme_lists_every_kind_with_its_hook_and_what_is_built_in():
    registry = discover()
    documented = {
        re.findall(r"`([^`]+)`", cells[0])[0]: (
            cells[1].strip("`"),
            tuple(re.findall(r"`([^`]+)`", cells[2])),
        )
        for cells in table("| hook |")
    }
    documented["decode"] = documented.pop("[stream] event_decoders")
    own = {
        kind: (
            hook,
            tuple(
                name
                for name in registry.names(kind)
                if registry.get(kind, name).origin.distribution == "streamdiff"
            ),
        )
        for kind, hook in KINDS.items()
    }
    assert documented == own
