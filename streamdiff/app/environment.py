"""What the process's environment says: settings and plugins."""

import os
from pathlib import Path

from streamdiff.config import Settings, load
from streamdiff.plugins import Registry, discover

DISABLED = "STREAMDIFF_DISABLE_PLUGINS"


def find_plugins() -> Registry:
    """Return all plugins but those of the distributions that are disabled.

    ``STREAMDIFF_DISABLE_PLUGINS`` names distributions, separated by commas.
    """
    names = os.environ.get(DISABLED, "").split(",")
    return discover(disabled=[name.strip() for name in names if name.strip()])


def read_settings(path: Path | None) -> Settings:
    """Return the settings of a file, with the environment on top."""
    return load(path, os.environ)
