"""A package with a plugin that works, to begin with."""

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from streamdiff import __version__
from streamdiff.adapters.whole_file import write_whole
from streamdiff.errors import ConfigError
from streamdiff.plugins import protocol_of

SKELETONS = (
    "read",
    "psf",
    "register",
    "warp",
    "subtract",
    "decorrelate",
    "find",
    "measure",
    "score",
    "associate",
    "coadd",
    "formats",
    "decode",
)
# The last word of the class, by kind.
_NOUNS: Mapping[str, str] = MappingProxyType(
    {
        "read": "Reader",
        "psf": "Psf",
        "register": "Registrar",
        "warp": "Warper",
        "subtract": "Subtractor",
        "decorrelate": "Decorrelator",
        "find": "Finder",
        "measure": "Measurer",
        "score": "Scorer",
        "associate": "Associator",
        "coadd": "Coadder",
        "formats": "Format",
        "decode": "Decoder",
    }
)
_NAME = re.compile(r"[a-z][a-z0-9_]*")

_PYPROJECT = """\
[build-system]
requires = ["hatchling>=1.25"]
build-backend = "hatchling.build"

[project]
name = "{distribution}"
version = "0.1.0"
description = "The {kind} plugin {name!r} of streamdiff."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["annotated-types>=0.6", "astropy>=6.1", "numpy>=1.26", "scipy>=1.13", \
"streamdiff>={version}"]

[project.optional-dependencies]
test = ["pytest>=8"]

[project.entry-points.streamdiff]
{name} = "{module}"

[tool.hatch.build.targets.wheel]
packages = ["src/{module}"]

[tool.pytest.ini_options]
testpaths = ["tests"]
addopts = ["--import-mode=importlib"]
"""

_TEST = '''\
"""The plugin keeps the contract of its kind."""

from streamdiff.testing.contract import PluginContract


class TestContract(PluginContract):
    kind = "{kind}"
    name = "{name}"
'''

_README = """\
# {distribution}

The {kind} plugin `{name}` of streamdiff: `{module}.{class_name}`, after
`streamdiff.stages.{protocol}`.

```sh
pip install -e '.[test]'
streamdiff plugins show {name} --kind {kind}
streamdiff plugins check {name} --kind {kind}  # the rules, and what it costs
python -m pytest  # the same rules as tests
```
{bench}
In a configuration:

```toml
[pipeline]
{key} = {value}

[plugins.{kind}.{name}]
# options: the fields of {class_name}
```

`streamdiff plugins guide {kind}` tells the rules.
"""

_BENCH = """
```sh
streamdiff plugins bench {name} --kind {kind} --against {rival} -o verdict.html
```
"""

_CI = """\
name: tests
on: [push, pull_request]
jobs:
  tests:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.11"
      - run: pip install -e '.[test]'
      - run: python -m pytest
      - run: streamdiff plugins check {name} --kind {kind}
"""

# Kinds of which a configuration chooses several.
_SEVERAL = frozenset({"measure", "formats", "decode"})
_RIVALS: Mapping[str, str] = MappingProxyType(
    {"subtract": "al", "decorrelate": "al", "find": "score_peaks"}
)


def write_package(kind: str, name: str, folder: Path) -> tuple[Path, ...]:
    """Write an installable package with a plugin that keeps the contract.

    Parameters
    ----------
    kind : str
        One of `SKELETONS`.
    name : str
        As configurations will name it.
    folder : Path
        New, or empty.

    Returns
    -------
    tuple of Path
        What was written.

    Raises
    ------
    ConfigError
        If there is no beginning for the kind, the name can not be one, or the folder
        holds something.
    StoreUnavailableError
        If a file can not be written.
    """
    if kind not in SKELETONS:
        raise ConfigError(
            f"there is no beginning for plugins of kind {kind!r}; there are "
            f"{', '.join(SKELETONS)}"
        )
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} can not name a plugin: use small letters, digits and _"
        )
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty: name a folder that does not exist")
    contents = package(kind, name)
    for path, text in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_whole(folder / path, text.encode())
    return tuple(folder / path for path in contents)


def package(kind: str, name: str) -> dict[str, str]:
    """Return the files of a package, by their path in it."""
    words = {
        "kind": kind,
        "name": name,
        "module": f"streamdiff_{name}",
        "distribution": f"streamdiff-{name.replace('_', '-')}",
        "class_name": _class_name(kind, name),
        "protocol": protocol_of(kind).__name__,
        "version": __version__,
        "key": "event_decoders" if kind == "decode" else kind,
        "value": f'["{name}"]' if kind in _SEVERAL else f'"{name}"',
        "rival": _RIVALS.get(kind, ""),
    }
    bench = _BENCH.format(**words) if kind in _RIVALS else ""
    readme = _README.format(**words, bench=bench)
    if kind == "decode":
        readme = readme.replace("[pipeline]", "[stream]")
    return {
        "pyproject.toml": _PYPROJECT.format(**words),
        "README.md": readme,
        f"src/{words['module']}/__init__.py": skeleton(kind, name),
        f"src/{words['module']}/py.typed": "",
        "tests/test_contract.py": _TEST.format(**words),
        ".github/workflows/tests.yml": _CI.format(**words),
    }


def skeleton(kind: str, name: str) -> str:
    """Return the code that plugins of a kind begin with, under a name."""
    source = files("streamdiff.app.skeletons").joinpath(f"{kind}.py")
    code = source.read_text(encoding="utf-8")
    code = re.sub(r"\bMine\b", _class_name(kind, name), code)
    code = re.sub(r'"mine"', f'"{name}"', code)
    return code.replace("``mine``", f"``{name}``")


def _class_name(kind: str, name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_")) + _NOUNS[kind]
