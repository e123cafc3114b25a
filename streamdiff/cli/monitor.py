"""``streamdiff monitor``: recent alerts and visits as local web pages."""

from pathlib import Path

import click

from streamdiff import log
from streamdiff.app.environment import read_settings
from streamdiff.app.service import kafka_transport
from streamdiff.cli.options import ReadPath
from streamdiff.errors import ConfigError

MonitoredPath = click.Path(path_type=Path)


@click.command("monitor")
@click.argument("files", type=MonitoredPath, nargs=-1)
@click.option("-c", "--config", "path", type=ReadPath, help="TOML file: its topics.")
@click.option("--host", default="127.0.0.1", show_default=True, help="To listen to.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8090,
    show_default=True,
    help="0 for any that is free.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    help="Another host name that browsers ask by, such as a proxy's; repeatable.",
)
@click.option("--topic", help="Topic of alerts in event logs.")
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    default=5000,
    show_default=True,
    help="Most alerts, and most reports, in memory.",
)
@click.option(
    "--memory-mib",
    type=click.FloatRange(min=1),
    default=512,
    show_default=True,
    help="Most memory of the alerts.",
)
def command(
    files: tuple[Path, ...],
    path: Path | None,
    host: str,
    port: int,
    names: tuple[str, ...],
    topic: str | None,
    keep: int,
    memory_mib: float,
) -> None:
    """Serve pages on recent alerts and visits, until Ctrl-C.

    They are of FILES: alerts, event logs, or folders of either, which are read again
    as they change; without any, of the topics of a configuration, from which nothing
    is taken and to which nothing is written.
    """
    try:
        from streamdiff.app.monitor.recent import Limits  # noqa: PLC0415
        from streamdiff.app.monitor.server import Address, Monitor  # noqa: PLC0415
    except ModuleNotFoundError as err:
        raise ConfigError(
            f"{err.name} is not installed: pip install 'streamdiff[monitor]'"
        ) from err
    if bool(files) == (path is not None):
        raise ConfigError("name either FILES or a configuration with -c")
    limits = Limits(alerts=keep, visits=keep, alert_mib=memory_mib)
    log.configure()
    if path is None:
        monitor = Monitor.of_files(files, topic=topic, limits=limits)
    else:
        settings = read_settings(path)
        transport = kafka_transport(settings)
        monitor = Monitor.of_stream(settings, transport, limits=limits)
    address = Address(host=host, port=port, names=names)
    if not address.is_local:
        click.echo(
            f"warning: whoever reaches {host} can read the alerts: put a proxy that "
            "asks for a password before it",
            err=True,
        )
    monitor.serve(address, lambda url: click.echo(f"{url} (Ctrl-C ends it)"))
