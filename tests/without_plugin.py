"""Deletes a built-in plugin from a copy of the checkout, and tests the rest.

``python tests/without_plugin.py zogy [arguments of pytest]``: without arguments, all
tests. The folder of the plugin, its entry point and its own tests are gone; what
imports it, or is configured to use it, is left out and told: also what finds out on
its way, for the plugin is one of the defaults, that ``there is no plugin`` of the name.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from streamdiff.plugins import discover

# A plugin of pytest: leaves out tests that name what is gone in their code or
# parameters, or in what they use of their module; and those that fail after it was
# looked for, in their process or, as the error tells, in another.
LEAVE_OUT = """
import inspect
import re

import pytest

from streamdiff.plugins import Registry

NAMES = {names!r}
NAMED = re.compile(r"\\b(" + "|".join(NAMES) + r")\\b")
WANTED = re.compile(r"there is no plugin \\W{{1,3}}(" + "|".join(NAMES) + r")\\b")
looked_for = set()
get = Registry.get


def get_and_note(registry, kind, name):
    looked_for.add(name)
    return get(registry, kind, name)


Registry.get = get_and_note


def is_about(function, seen):
    seen.add(function)
    if NAMED.search(inspect.getsource(function)):
        return True
    code = function.__code__
    for name in (*code.co_names, *code.co_varnames[: code.co_argcount]):
        used = function.__globals__.get(name)
        used = getattr(used, "__wrapped__", used)
        if isinstance(used, str | dict | list | tuple) and NAMED.search(repr(used)):
            return True
        ours = inspect.isfunction(used) and used.__module__ == function.__module__
        if ours and used not in seen and is_about(used, seen):
            return True
    return False


def pytest_collection_modifyitems(items):
    for item in items:
        if NAMED.search(item.name) or is_about(item.function, set()):
            item.add_marker(pytest.mark.skip(reason="it is about the plugin"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    looked_for.clear()
    return (yield)


def leave_out(report):
    told = [report.longreprtext, *(text for _, text in report.sections)]
    wanted = looked_for.intersection(NAMES) or any(map(WANTED.search, told))
    if report.failed and wanted:
        report.outcome = "skipped"
        report.longrepr = (report.nodeid, 0, "Skipped: it uses the plugin")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    return leave_out((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    return leave_out((yield))
"""

CHECKOUT = Path(__file__).parents[1]


def main() -> int:
    """Return the exit code of pytest."""
    name, *arguments = sys.argv[1:]
    package = f"streamdiff_{name}"
    if not (CHECKOUT / "plugins" / package).is_dir():
        sys.exit(f"there is no plugins/{package}")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "checkout"
        copy_without(package, copy)
        (copy / "leave_out.py").write_text(LEAVE_OUT.format(names=names_of(package)))
        python = environment(Path(folder) / "venv", copy)
        options = ["-q", "-p", "no:cacheprovider", "-p", "leave_out"]
        return subprocess.run(  # noqa: S603 - pytest of the copy
            [python, "-m", "pytest", *options, *still_there(arguments, copy)],
            cwd=copy,
            check=False,
        ).returncode


def still_there(arguments: list[str], copy: Path) -> list[str]:
    """Return arguments of pytest, but for the files that were left out."""
    return [
        argument
        for argument in arguments
        if (copy / argument.partition("::")[0]).exists()
        or not (CHECKOUT / argument.partition("::")[0]).exists()
    ]


def names_of(package: str) -> list[str]:
    """Return the names that configurations have for the plugins of a package."""
    return sorted(
        plugin.name
        for plugin in discover().plugins.values()
        if plugin.origin.entry_point.endswith(f"= {package}")
    )


def copy_without(package: str, copy: Path) -> None:
    """Copy what git knows, but for a plugin and what is about it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    for path in listed:
        if path.startswith(f"plugins/{package}/") or not (CHECKOUT / path).is_file():
            continue
        if path.endswith(".py") and path.startswith("tests/") and needs(path, package):
            sys.stdout.write(f"left out: {path}\n")
            continue
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / path, copy / path)
    readme = copy / "README.md"
    names = "|".join(names_of(package))
    listed_no_more = re.compile(rf"(, )?`({names})`(?=[^|]*\|$)")
    lines = readme.read_text(encoding="utf-8").splitlines(keepends=True)
    readme.write_text(
        "".join(
            listed_no_more.sub("", line) if line.startswith("| `") else line
            for line in lines
        ),
        encoding="utf-8",
    )
    project = copy / "pyproject.toml"
    lines = project.read_text().splitlines(keepends=True)
    project.write_text("".join(line for line in lines if package not in line))


def needs(path: str, package: str) -> bool:
    """Return whether a test imports a plugin; so do tests under their conftest."""
    folder = (CHECKOUT / path).parent
    files = [CHECKOUT / path, folder / "conftest.py"]
    return any(
        file.is_file() and re.search(rf"\b{package}\b", file.read_text())
        for file in files
    )


def environment(folder: Path, copy: Path) -> Path:
    """Return the Python of an environment with the copy, and the libraries of this."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)  # noqa: S603
    libraries = sysconfig.get_path("purelib")
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(f"{libraries}\n")
    subprocess.run(  # noqa: S603 - pip of that environment
        [
            *(
                folder / "bin" / "python",
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
            ),
            *("--no-build-isolation", "--disable-pip-version-check", copy),
        ],
        check=True,
    )
    return folder / "bin" / "python"


if __name__ == "__main__":
    sys.exit(main())
