"""``streamdiff publish``: images or JSON lines -> events."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from streamdiff.adapters.avro.events import (
    encode_event,
    events_from_json_lines,
    message_key,
)
from streamdiff.app.environment import find_plugins, read_settings
from streamdiff.app.service import kafka_transport
from streamdiff.app.single import Workbench
from streamdiff.app.topics import topics_of
from streamdiff.cli.json_output import json_option, print_json
from streamdiff.cli.options import ReadPath, config_option
from streamdiff.config import Settings
from streamdiff.errors import UnprocessableError
from streamdiff.model import Action, TemplateUpdate, VisitReady
from streamdiff.ports import OutgoingRecord

JSON_SUFFIXES = {".json", ".jsonl", ".ndjson"}
ACTIONS = tuple(action.value for action in Action)


@click.group("publish")
def command() -> None:
    """Publish events."""


@command.command("visit-ready")
@click.argument("files", type=ReadPath, nargs=-1, required=True)
@config_option
@json_option
def visit_ready(files: tuple[Path, ...], config: Path | None, *, as_json: bool) -> None:
    """Announce FILES: images, or JSON lines with one event each."""
    settings = read_settings(config)
    events = _visits(files, settings)
    topic = topics_of(settings).visit_ready
    _send(settings, topic, events, as_json=as_json)


@command.command("template-update")
@click.argument("files", type=ReadPath, nargs=-1, required=True)
@click.option("--template-name", default="deep", help="Flavour of the template.")
@click.option("--action", type=click.Choice(ACTIONS), default=Action.ADD.value)
@config_option
@json_option
def template_update(
    files: tuple[Path, ...],
    template_name: str,
    action: str,
    config: Path | None,
    *,
    as_json: bool,
) -> None:
    """Add FILES to all templates that they cover; JSON lines are updates themselves."""
    settings = read_settings(config)
    ready = [path for path in files if path.suffix in JSON_SUFFIXES]
    images = [path for path in files if path.suffix not in JSON_SUFFIXES]
    updates: list[TemplateUpdate | VisitReady] = []
    for path in ready:
        updates += _from_lines(path, "templateUpdate")
    exposures = _visits(images, settings)
    for band in sorted({exposure.band for exposure in exposures}):
        of_band = tuple(e for e in exposures if e.band == band)
        updates.append(_update(template_name, action, of_band))
    _send(settings, topics_of(settings).template_update, updates, as_json=as_json)


def _update(
    template_name: str, action: str, exposures: tuple[VisitReady, ...]
) -> TemplateUpdate:
    """Return the update of all templates that exposures of one band cover."""
    try:
        return TemplateUpdate(
            event_id=f"{template_name}/{action}/{exposures[0].event_id}",
            band=exposures[0].band,
            action=Action(action),
            template_name=template_name,
            exposures=exposures,
            published_at=datetime.now(UTC),
        )
    except ValueError as err:
        raise UnprocessableError(f"{exposures[0].image_uri}: {err}") from err


def _visits(paths: Iterable[Path], settings: Settings) -> list[VisitReady]:
    bench = Workbench(settings=settings, registry=find_plugins())
    events: list[VisitReady] = []
    for path in paths:
        if path.suffix in JSON_SUFFIXES:
            lines = _from_lines(path, "visitReady")
            events += [event for event in lines if isinstance(event, VisitReady)]
        else:
            events.append(bench.event(path))
    return events


def _from_lines(path: Path, record: str) -> list[TemplateUpdate | VisitReady]:
    now = datetime.now(UTC).isoformat()
    try:
        events = events_from_json_lines(
            path.read_text(encoding="utf-8"),
            record=record,
            defaults={"published_at": now},
        )
    except UnprocessableError as err:
        raise UnprocessableError(f"{path}: {err}") from err
    except (OSError, UnicodeDecodeError) as err:
        raise UnprocessableError(f"{path}: can not be read: {err}") from err
    return [e for e in events if isinstance(e, TemplateUpdate | VisitReady)]


def _send(
    settings: Settings,
    topic: str,
    events: Sequence[TemplateUpdate | VisitReady],
    *,
    as_json: bool,
) -> None:
    records = [
        OutgoingRecord(topic=topic, key=message_key(event), value=encode_event(event))
        for event in events
    ]
    producer = kafka_transport(settings).producer()
    try:
        producer.send(records)
    finally:
        producer.close()
    if as_json:
        print_json({"topic": topic, "event_ids": [event.event_id for event in events]})
    else:
        click.echo(f"{topic}: {len(records)} events")
