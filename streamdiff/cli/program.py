"""The program ``streamdiff``: its commands, and how an error looks.

Commands are imported when they are called, so that ``--help`` needs nothing
heavy.
"""

import sys
import traceback
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

import click
from click.shell_completion import CompletionItem

from streamdiff import __version__
from streamdiff.cli.examples import add_examples
from streamdiff.errors import ConfigError, PluginError, StreamdiffError

FAILED, USAGE, INTERRUPTED = 1, 2, 130

# Name -> its module beside this one, and what it does.
COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "demo": ("demo", "Simulate a survey, process it, and report."),
        "run": ("run", "Run the service."),
        "subtract": ("subtract", "Subtract a template from one image."),
        "coadd": ("coadd", "Coadd exposures into a template."),
        "publish": ("publish", "Publish events."),
        "archive": ("archive", "Record topics; verify, list and judge event logs."),
        "dead-letters": ("dead_letters", "List, show and retry dead letters."),
        "replay": ("replay", "Process archived events again, or send them again."),
        "alerts": ("alerts", "Show, compare and report alerts."),
        "monitor": ("monitor", "Serve pages on recent alerts and visits."),
        "plugins": ("plugins", "Show, make, check and compare plugins."),
        "train-reliability": ("train_reliability", "Train a model of reliability."),
        "doctor": ("doctor", "Check an installation."),
        "config": ("config", "Check a configuration, or print an example."),
        "help": ("help", "Explain a topic or a command."),
    }
)


class LazyGroup(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        loaded = import_module(f"streamdiff.cli.{module}")
        command: click.Command = loaded.command
        return add_examples(cmd_name, command)

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> list[CompletionItem]:
        """Return the commands that begin so, without importing them."""
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [
            CompletionItem(name, help=text)
            for name, (_, text) in COMMANDS.items()
            if name.startswith(incomplete)
        ]

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, prog_name="streamdiff")
@click.pass_context
def program(ctx: click.Context, *, debug: bool) -> None:
    """Difference imaging as a stream: visit-ready events in, alerts out."""
    ctx.obj = debug


def main() -> None:
    """Run the program; every error is one line that says what to do."""
    try:
        status = program(prog_name="streamdiff", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(INTERRUPTED)
    except click.ClickException as err:
        err.show()
        sys.exit(USAGE)
    except StreamdiffError as err:
        if "--debug" in sys.argv:
            traceback.print_exc()
        click.echo(f"streamdiff: {err}", err=True)
        sys.exit(USAGE if isinstance(err, ConfigError | PluginError) else FAILED)
    sys.exit(status if isinstance(status, int) else 0)
