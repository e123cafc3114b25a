"""Options that several commands share."""

from pathlib import Path

import click

ReadPath = click.Path(path_type=Path, dir_okay=False)

config_option = click.option(
    "-c", "--config", "config", type=ReadPath, help="TOML file; defaults without it."
)
