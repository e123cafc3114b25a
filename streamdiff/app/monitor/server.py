"""Serves the pages, while what they show is followed."""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from streamdiff.app.monitor.following import ChangingFiles, Follow, Stream, followed
from streamdiff.app.monitor.intake import FileIntake, Intake
from streamdiff.app.monitor.recent import Limits, Recent
from streamdiff.app.monitor.site import LOCAL_HOSTS, site
from streamdiff.app.topics import topics_of
from streamdiff.config import Settings
from streamdiff.errors import ConfigError
from streamdiff.ports import Transport

_DRAIN_S = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the pages are served.

    Attributes
    ----------
    host : str
    port : int
        0 for any that is free.
    names : tuple of str
        Other names that browsers may ask by, such as that of a proxy.
    """

    host: str = "127.0.0.1"
    port: int = 8090
    names: tuple[str, ...] = field(default=())

    @property
    def is_local(self) -> bool:
        """Return whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the names that the server answers to."""
        return (*LOCAL_HOSTS, self.host.lower(), *map(str.lower, self.names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """Pages on what one source tells.

    Attributes
    ----------
    recent : Recent
    follow : callable
        Reads the source, in a thread of its own.
    """

    recent: Recent
    follow: Follow

    @classmethod
    def of_files(
        cls, paths: Sequence[Path], *, topic: str | None, limits: Limits
    ) -> "Monitor":
        """Return the monitor of alerts, event logs, or folders of either."""
        recent = Recent(limits=limits)
        intake = Intake(recent=recent, alerts_topic=topic)
        files = FileIntake(paths=tuple(paths), intake=intake)
        return cls(recent=recent, follow=ChangingFiles(files=files).follow)

    @classmethod
    def of_stream(
        cls, settings: Settings, transport: Transport, *, limits: Limits
    ) -> "Monitor":
        """Return the monitor of the topics of a configuration."""
        topics = topics_of(settings)
        alerts = topics.alerts(0, settings.pipeline.formats[0])
        recent = Recent(limits=limits, is_live=True)
        stream = Stream(
            transport=transport,
            topics=(topics.visit_ready, topics.visit_processed, alerts),
            group=settings.stream.group,
            intake=Intake(recent=recent, alerts_topic=alerts),
        )
        return cls(recent=recent, follow=stream.follow)

    def serve(self, address: Address, started: Callable[[str], None]) -> None:
        """Serve until SIGINT or SIGTERM.

        Parameters
        ----------
        address : Address
        started : callable
            Gets the address of the first page, once it can be asked for.

        Raises
        ------
        ConfigError
            If the address can not be listened to.
        """
        config = uvicorn.Config(
            site(self.recent, hosts=address.hosts),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_DRAIN_S,
            lifespan="off",
        )
        with _listening(address) as listener, followed(self.follow):
            host, port = listener.getsockname()[:2]
            started(f"http://{f'[{host}]' if ':' in host else host}:{port}/")
            uvicorn.Server(config).run(sockets=[listener])


def _listening(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family)
    except (OSError, OverflowError) as err:
        raise ConfigError(
            f"--host {address.host} --port {address.port}: {err}; choose another port"
        ) from err
