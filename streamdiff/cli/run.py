"""``streamdiff run``: the service."""

from contextlib import ExitStack
from pathlib import Path

import click

from streamdiff import log
from streamdiff.adapters.embedded import EmbeddedBroker
from streamdiff.app.environment import find_plugins, read_settings
from streamdiff.app.service import Service, embedded_partitions, kafka_transport
from streamdiff.cli.options import ReadPath
from streamdiff.config import Settings
from streamdiff.errors import ConfigError
from streamdiff.metrics import Metrics


@click.command("run")
@click.option("-c", "--config", "path", type=ReadPath, required=True, help="TOML file.")
@click.option(
    "--only",
    type=click.Choice(["visits", "templates"]),
    help="Consume the events of one kind.",
)
def command(path: Path, only: str | None) -> None:
    """Consume events, process them, emit alerts; SIGTERM stops cleanly."""
    settings = read_settings(path)
    if only is not None:
        stream = settings.stream.model_copy(update={"only": only})
        settings = settings.model_copy(update={"stream": stream})
    settings.require_service()
    if settings.stream.transport == "memory":
        raise ConfigError(
            "[stream] transport = 'memory' is for tests: nothing outside this process "
            "could publish to it; use 'kafka' or 'embedded'"
        )
    log.configure()
    with ExitStack() as stack:
        if settings.stream.transport == "embedded":
            broker = stack.enter_context(EmbeddedBroker(embedded_partitions(settings)))
            click.echo(f"embedded broker: {broker.bootstrap}")
            settings = _on_brokers(settings, broker.bootstrap)
        Service(
            settings=settings,
            registry=find_plugins(),
            transport=kafka_transport(settings),
            metrics=Metrics(),
        ).run()


def _on_brokers(settings: Settings, brokers: str) -> Settings:
    stream = settings.stream.model_copy(update={"brokers": brokers})
    return settings.model_copy(update={"stream": stream})
