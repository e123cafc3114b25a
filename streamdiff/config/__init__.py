"""The settings: TOML file, environment on top, defaults below.

The models here are the one list of keys; `streamdiff.app.example` writes the
annotated example from their descriptions.
"""

from streamdiff.config.reading import (
    ENVIRONMENT_PREFIX,
    SECRET_SUFFIX,
    from_tree,
    keys_of_variable,
    load,
    read_tree,
)
from streamdiff.config.settings import Settings
from streamdiff.config.tables import (
    InjectionSettings,
    PipelineSettings,
)

__all__ = [
    "ENVIRONMENT_PREFIX",
    "SECRET_SUFFIX",
    "InjectionSettings",
    "PipelineSettings",
    "Settings",
    "from_tree",
    "keys_of_variable",
    "load",
    "read_tree",
]
