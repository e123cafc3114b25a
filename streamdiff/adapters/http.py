"""``/livez``, ``/readyz`` and ``/metrics`` for whoever watches the process."""

from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Protocol, Self

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from streamdiff.errors import ConfigError


class Health(Protocol):
    """Whether the process is alive, and ready."""

    @property
    def is_alive(self) -> bool:
        """Return whether the process makes progress."""
        ...

    @property
    def is_ready(self) -> bool:
        """Return whether the process takes events."""
        ...


class HealthServer:
    """A small HTTP server in a thread of its own.

    Parameters
    ----------
    address : str
        ``host:port``; port 0 for any that is free.
    health : Health
    registry : CollectorRegistry

    Raises
    ------
    ConfigError
        If the address can not be used.
    """

    def __init__(
        self, address: str, *, health: Health, registry: CollectorRegistry
    ) -> None:
        host, _, port = address.rpartition(":")
        try:
            self._server = ThreadingHTTPServer(
                (host.strip("[]"), int(port)), _handler(health, registry)
            )
        except (OSError, ValueError, OverflowError) as err:
            raise ConfigError(f"[stream] http = {address!r}: {err}") from err
        self._server.daemon_threads = True
        self._thread = Thread(
            target=self._server.serve_forever, name="http", daemon=True
        )

    @property
    def port(self) -> int:
        """Return the port that is listened to."""
        return self._server.server_port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(
    health: Health, registry: CollectorRegistry
) -> type[BaseHTTPRequestHandler]:
    checks: dict[str, Callable[[], bool]] = {
        "/livez": lambda: health.is_alive,
        "/readyz": lambda: health.is_ready,
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(
                    HTTPStatus.OK, generate_latest(registry), CONTENT_TYPE_LATEST
                )
            elif path not in checks:
                self._answer(HTTPStatus.NOT_FOUND, b"not found\n")
            elif checks[path]():
                self._answer(HTTPStatus.OK, b"ok\n")
            else:
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"no\n")

        def _answer(
            self, status: HTTPStatus, body: bytes, kind: str = "text/plain"
        ) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - name given
            """Say nothing: a probe every few seconds is no news."""

    return Handler
