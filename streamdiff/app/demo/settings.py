"""The configurations of the demo's services."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from streamdiff.app.example import toml_value
from streamdiff.config import Settings, from_tree
from streamdiff.testing import Survey

# Patches larger than an image: the field lies on two of them.
PATCH_PER_IMAGE = 1.66
CATALOGUE = "catalogue.db"
# Each takes its share of the visits, if it is installed; with these options.
SUBTRACTORS: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {"al": {}, "zogy": {"matched_template": True}}
)


def written_settings(
    directory: Path, survey: Survey, subtract: str, workers: int
) -> Settings:
    """Return the configuration of a service, and write it for a replay."""
    tree = _tree(directory.resolve(), survey, subtract, workers)
    lines = ["# A service of the demo, for: streamdiff replay archive -c this.toml"]
    for name, table in tree.items():
        keys = (f"{key} = {toml_value(value)}" for key, value in table.items())
        lines += ["", f"[{name}]", *keys]
    text = "\n".join(lines) + "\n"
    (directory / f"{subtract}.toml").write_text(text, encoding="utf-8")
    return from_tree(tree)


def demo_settings(
    directory: Path, survey: Survey, subtract: str = "al", workers: int = 2
) -> Settings:
    """Return the configuration that the demo runs a subtraction plugin with."""
    return from_tree(_tree(directory.resolve(), survey, subtract, workers))


def _tree(
    directory: Path, survey: Survey, subtract: str, workers: int
) -> dict[str, dict[str, object]]:
    """Return the tables of a configuration: inputs of its own, outputs of all."""
    return {
        "stream": {
            "transport": "embedded",
            "group": f"streamdiff-{subtract}",
            "input_prefix": f"streamdiff.{subtract}.",
            "workers": workers,
            "http": "",
        },
        "store": {
            "uri": (directory / "templates").as_uri(),
            "skymap": {"patch_pixels": int(PATCH_PER_IMAGE * max(survey.shape))},
        },
        "input": {"roots": [(directory / "images").as_uri()]},
        "output": {
            "directory": str(directory / "differences"),
            "differences": True,
            "alerts": False,
        },
        "pipeline": {
            "subtract": subtract,
            "register": "stars",
            "associate": "nearest",
        },
        # One for all services: each sees but a part of the visits.
        "catalogue": {"url": f"sqlite:///{directory / CATALOGUE}"},
        "plugins": {"subtract": {subtract: dict(SUBTRACTORS[subtract])}},
    }
