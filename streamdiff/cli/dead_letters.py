"""``streamdiff dead-letters``: events that were given up: list, show, retry."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from streamdiff.app.dead_letters import (
    Choice,
    described,
    letters_of_logs,
    letters_of_topic,
    originals,
    publish,
)
from streamdiff.app.environment import read_settings
from streamdiff.app.service import kafka_transport
from streamdiff.app.topics import topics_of
from streamdiff.cli.json_output import json_option, print_json, print_json_rows
from streamdiff.cli.options import config_option
from streamdiff.errors import ConfigError
from streamdiff.stream.dead_letters import DeadLetter

MESSAGE_WIDTH = 60
LISTED = ("place", "reason", "stage", "topic", "event_id", "error_message")


@click.group("dead-letters")
def command() -> None:
    """List, show and retry events that were given up."""


def letter_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which dead letters are meant, and give the letters."""

    @wraps(function)
    def with_letters(
        config: Path | None,
        logs: tuple[Path, ...],
        *,
        reason: str,
        stage: str,
        event_ids: tuple[str, ...],
        places: tuple[str, ...],
        **others: object,
    ) -> None:
        choice = Choice(reason=reason, stage=stage, event_ids=event_ids, places=places)
        letters = filter(choice.takes, _all_letters(config, logs))
        function(letters, **others)

    for option in (
        click.option(
            "--log",
            "logs",
            type=click.Path(path_type=Path),
            multiple=True,
            help="Read event logs instead of the topic; files or folders.",
        ),
        click.option("--offset", "places", multiple=True, help="[PARTITION:]OFFSET"),
        click.option("--event-id", "event_ids", multiple=True),
        click.option("--stage", default="", help="Where in the pipeline it failed."),
        click.option("--reason", default="", help="Code, such as unreadable_image."),
        config_option,
    ):
        with_letters = option(with_letters)
    return with_letters


def _all_letters(config: Path | None, logs: tuple[Path, ...]) -> Iterator[DeadLetter]:
    if logs:
        return letters_of_logs(logs)
    if config is None:
        raise ConfigError("name the stream with -c FILE, or event logs with --log")
    settings = read_settings(config)
    topic = topics_of(settings).dead_letter
    return letters_of_topic(kafka_transport(settings), topic)


@command.command("list")
@letter_options
@json_option
def list_letters(letters: Iterator[DeadLetter], *, as_json: bool) -> None:
    """List dead letters; --offset takes the place that each has."""
    rows = map(described, letters)
    if as_json:
        print_json_rows(rows)
        return
    table = Table(*LISTED, box=None)
    for row in rows:
        cells = [str(row.get(name) or "") for name in LISTED]
        table.add_row(*cells[:-1], cells[-1][:MESSAGE_WIDTH])
    Console().print(table if table.row_count else "no dead letters")


@command.command("show")
@letter_options
@json_option
def show_letters(letters: Iterator[DeadLetter], *, as_json: bool) -> None:
    """Show all that is known of dead letters, with tracebacks."""
    rows = map(described, letters)
    if as_json:
        print_json_rows(rows)
        return
    for row in rows:
        trace = row.pop("traceback", "")
        for name, value in row.items():
            click.echo(f"{name:14} {value}")
        click.echo(trace)


@command.command("retry")
@letter_options
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def retry(letters: Iterator[DeadLetter], *, yes: bool, as_json: bool) -> None:
    """Publish events again, as they were, to the topics that they came from."""
    config = click.get_current_context().params["config"]
    transport = kafka_transport(read_settings(config))
    records = originals(letters)
    counts = Counter(record.topic for record in records)
    topics = ", ".join(sorted(counts))
    if records and not yes:
        question = f"publish {len(records)} events to {topics}?"
        click.confirm(question, abort=True, err=as_json)
    publish(transport, records)
    if as_json:
        print_json({"events": counts})
    else:
        told = f"{topics}: {len(records)} events" if records else "no dead letters"
        click.echo(told)
