"""``streamdiff replay``: archived events once more."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from streamdiff import log
from streamdiff.adapters.clock import SystemClock
from streamdiff.adapters.event_log import read_log
from streamdiff.adapters.whole_file import write_whole
from streamdiff.app import wiring
from streamdiff.app.alerts.comparison import Rules, compare
from streamdiff.app.alerts.reading import AlertFiles
from streamdiff.app.alerts.result import Comparison
from streamdiff.app.alerts.sheets import write_sheets
from streamdiff.app.alerts.tolerances import Tolerance
from streamdiff.app.decoding import Decoding
from streamdiff.app.environment import find_plugins, read_settings
from streamdiff.app.replay.associate import SerialAssociation
from streamdiff.app.replay.completeness import (
    CompletenessBin,
    completeness,
    completeness_picture,
    read_recovery,
)
from streamdiff.app.replay.events import EventLog, Selection
from streamdiff.app.replay.injection import EXAMPLE, parse_injection
from streamdiff.app.replay.run import Replay, pool, replay_settings, run_replay
from streamdiff.app.replay.send import Rewriting, Sending
from streamdiff.app.service import kafka_transport
from streamdiff.app.topics import topics_of
from streamdiff.cli.alerts import DIFFERENT, print_comparison
from streamdiff.cli.json_output import json_option, print_json
from streamdiff.cli.options import ReadPath, config_option
from streamdiff.cli.progress import shown_progress
from streamdiff.config import Settings
from streamdiff.errors import ConfigError
from streamdiff.plugins import Registry

AnyPath = click.Path(path_type=Path, exists=True)
FolderPath = click.Path(path_type=Path, file_okay=False)


@click.command("replay")
@click.argument("logs", type=AnyPath, nargs=-1, required=True)
@config_option
@click.option(
    "--out",
    type=FolderPath,
    default=Path("streamdiff-replay"),
    show_default=True,
    help="Folder for the results.",
)
@click.option("--workers", type=click.IntRange(1), help="In place of [stream] workers.")
@click.option("--visit", "visits", type=int, multiple=True, help="Only this visit.")
@click.option("--detector", "detectors", type=int, multiple=True)
@click.option("--band", "bands", multiple=True)
@click.option("--since", type=float, default=float("-inf"), help="MJD, TAI.")
@click.option("--until", type=float, default=float("inf"), help="MJD, TAI.")
@click.option(
    "--latest-templates",
    is_flag=True,
    help="Compare with the newest templates, not with those that were used.",
)
@click.option(
    "--catalogue",
    "pinned",
    metavar="URL",
    default="",
    help="DiaObjects to begin with: what this catalogue had before the first visit.",
)
@click.option("--inject", metavar="SPEC", help=f"Add sources: {EXAMPLE}")
@click.option(
    "--versus", type=ReadPath, metavar="FILE", help="Another configuration to compare."
)
@click.option(
    "--against",
    type=AnyPath,
    metavar="ALERTS",
    help="Compare with these alerts; exit code 1 if they differ.",
)
@click.option(
    "--tolerance",
    "tolerances",
    multiple=True,
    metavar="FIELD=VALUE(abs|rel|sigma)",
    help="See streamdiff alerts compare.",
)
@click.option("--pictures", is_flag=True, help="Pages of what was lost and is new.")
@click.option("--to", type=click.Choice(["kafka"]), help="Send the events again.")
@click.option(
    "--speed",
    type=click.FloatRange(0, min_open=True),
    help="With --to: so much faster than recorded; else as fast as possible.",
)
@click.option("--new-times", is_flag=True, help="With --to: events of now.")
@click.option("--new-ids", metavar="SUFFIX", default="", help="With --to: other ids.")
@json_option
def command(
    logs: tuple[Path, ...],
    config: Path | None,
    out: Path,
    workers: int | None,
    visits: tuple[int, ...],
    detectors: tuple[int, ...],
    bands: tuple[str, ...],
    since: float,
    until: float,
    *,
    latest_templates: bool,
    pinned: str,
    inject: str | None,
    versus: Path | None,
    against: Path | None,
    tolerances: tuple[str, ...],
    pictures: bool,
    to: str | None,
    speed: float | None,
    new_times: bool,
    new_ids: str,
    as_json: bool,
) -> int:
    """Process the visits of LOGS again, or send their events again.

    In this process: with the plugins of this installation and the templates that
    were used, into one container of alerts per visit. DiaObjects, if the
    configuration wants them, are kept beside these, not in its catalogue.
    """
    console = Console(stderr=as_json)
    settings, registry = _settings(config, workers), find_plugins()
    decoding = Decoding(decoders=wiring.event_decoders(settings, registry))
    selection = Selection(
        visits=frozenset(visits),
        detectors=frozenset(detectors),
        bands=frozenset(bands),
        since=since,
        until=until,
    )
    if to is not None:
        rewriting = Rewriting(times=new_times, id_suffix=new_ids)
        counts = _send(console, settings, logs, decoding, speed, selection, rewriting)
        if as_json:
            print_json(counts)
        return 0
    if speed is not None or new_times or new_ids:
        raise ConfigError("--speed, --new-times and --new-ids need --to kafka")
    events = EventLog.at(logs, decoding, selection)
    injection = None if inject is None else parse_injection(inject)
    rules = Rules(tolerances=tuple(map(Tolerance.parse, tolerances)))
    log.configure(level="warning")
    sides = {"": settings} if versus is None else _sides(config, versus, workers)
    replays = {
        name: _run(
            console,
            events,
            replay_settings(side, out / name, injection),
            registry,
            latest_templates=latest_templates,
            pinned=pinned,
        )
        for name, side in sides.items()
    }
    in_magnitudes = injection is not None and injection.scale == "mag"
    curves = {
        name: completeness(read_recovery(out / name), magnitudes=in_magnitudes)
        for name in sides
    }
    if injection is not None:
        named = {name or "replay": bins for name, bins in curves.items()}
        picture = completeness_picture(named, magnitudes=in_magnitudes)
        write_whole(out / "completeness.png", picture)
    found = {
        title: _compared(a, b, rules, out / "pictures" if pictures else None)
        for title, a, b in _pairs(out, list(sides), against)
    }
    if as_json:
        compared = {title: made.as_json() for title, made in found.items()}
        print_json(_told(replays, curves) | {"comparisons": compared})
    else:
        for name, made in replays.items():
            console.print(_summary(name, made))
            if curves[name]:
                brightness = "AB magnitude" if in_magnitudes else "ideal S/N"
                console.print(_table(name, curves[name], brightness))
        for title, comparison in found.items():
            console.rule(title)
            print_comparison(comparison)
    is_as_before = against is None or next(iter(found.values())).is_same
    return 0 if is_as_before else DIFFERENT


def _pairs(
    out: Path, names: list[str], against: Path | None
) -> Iterator[tuple[str, Path, Path]]:
    """Yield which alerts are compared, with a title: A and B."""
    if against is not None:
        yield f"{against} (A) and the replay (B)", against, out / names[0]
    if len(names) > 1:
        a, b = names
        yield f"{a} (A) and {b} (B)", out / a, out / b


def _compared(a: Path, b: Path, rules: Rules, pictures: Path | None) -> Comparison:
    sources = AlertFiles(paths=(a,)), AlertFiles(paths=(b,))
    found = compare(*sources, rules)
    if pictures is not None:
        write_sheets(pictures, found, *sources)
    return found


def _settings(config: Path | None, workers: int | None) -> Settings:
    settings = read_settings(config)
    if workers is None:
        return settings
    stream = settings.stream.model_copy(update={"workers": workers})
    return settings.model_copy(update={"stream": stream})


def _sides(
    config: Path | None, versus: Path, workers: int | None
) -> dict[str, Settings]:
    """Return two configurations by the names of their files."""
    names = [path.stem if path else "defaults" for path in (config, versus)]
    if names[0] == names[1]:
        names = ["a", "b"]
    both = (_settings(path, workers) for path in (config, versus))
    return dict(zip(names, both, strict=True))


def _run(
    console: Console,
    events: EventLog,
    settings: Settings,
    registry: Registry,
    *,
    latest_templates: bool,
    pinned: str,
) -> Replay:
    _require_store(settings)
    wiring.check(settings, registry)
    associate = None
    if wiring.associates(settings):
        associate = SerialAssociation(
            settings=settings, registry=registry, pinned=pinned
        )
        associate.check()
    elif pinned:
        raise ConfigError("--catalogue needs [pipeline] associate, which is 'none'")
    with shown_progress(console) as progress:
        return run_replay(
            events,
            settings,
            pool(settings),
            progress,
            latest_templates=latest_templates,
            associate=associate,
        )


def _require_store(settings: Settings) -> None:
    if not settings.store.uri:
        raise ConfigError(
            "[store] uri: required, that of the templates that the visits are "
            "compared with"
        )


def _send(
    console: Console,
    settings: Settings,
    logs: Sequence[Path],
    decoding: Decoding,
    speed: float | None,
    selection: Selection,
    rewriting: Rewriting,
) -> dict[str, int]:
    """Send events again; return how many records there were, and how many events."""
    events = EventLog.at(logs, decoding, selection)
    n_records = sum(1 for path in events.files for _ in read_log(path))
    producer = kafka_transport(settings).producer()
    sending = Sending(
        producer=producer,
        topics=topics_of(settings),
        decoding=decoding,
        clock=SystemClock(),
        sleep=time.sleep,
        speed=speed,
        selection=selection,
        rewriting=rewriting,
    )
    try:
        with shown_progress(console) as progress:
            progress.begin("records", n_records)
            n_sent = sending.send(
                (record for path in events.files for record in read_log(path)),
                lambda n: progress.advance("records", n),
            )
    finally:
        producer.close()
    console.print(f"{n_sent} of {n_records} records were events, and sent again")
    return {"records": n_records, "events": n_sent}


def _summary(name: str, made: Replay) -> str:
    ended = ", ".join(f"{n} {outcome}" for outcome, n in made.outcomes.items())
    of = f"{name}: " if name else ""
    return f"{of}{ended}; {made.n_alerts} alerts in {made.directory}"


def _table(name: str, bins: Sequence[CompletenessBin], brightness: str) -> Table:
    table = Table(title=f"Injected sources{f' of {name}' if name else ''}", box=None)
    headings = (brightness, "injected", "found", "completeness", "flux / true", "pull")
    for heading in headings:
        table.add_column(heading, justify="right")
    for b in bins:
        table.add_row(
            f"{b.low:g} - {b.high:g}",
            str(b.n),
            str(b.n_found),
            f"{b.completeness:.3f} +- {b.error:.3f}",
            f"{b.flux_ratio:.3f}",
            f"{b.pull_std:.2f}",
        )
    return table


def _told(
    replays: Mapping[str, Replay], curves: Mapping[str, Sequence[CompletenessBin]]
) -> dict[str, object]:
    return {
        name or "replay": {
            "directory": str(made.directory),
            "outcomes": dict(made.outcomes),
            "n_alerts": made.n_alerts,
            "injected": [
                {
                    "brightness": [b.low, b.high],
                    "n": b.n,
                    "n_found": b.n_found,
                    "flux_ratio": b.flux_ratio,
                    "pull_std": b.pull_std,
                }
                for b in curves[name]
            ],
        }
        for name, made in replays.items()
    }
