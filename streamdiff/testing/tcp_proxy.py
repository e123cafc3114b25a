"""A proxy between clients and a server that can refuse them for a while."""

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

_CHUNK = 1 << 16
_HOST = "127.0.0.1"


class TcpProxy:
    """Passes connections on to a server, while in its context.

    Parameters
    ----------
    target : callable
        Returns the port of the server, which may not be known from the start.

    Attributes
    ----------
    port : int
        Where it listens.
    """

    def __init__(self, target: Callable[[], int]) -> None:
        self._target = target
        self._listener = socket.create_server((_HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._refuses = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):  # wakes the thread that accepts
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.refuse()

    def refuse(self) -> None:
        """End all connections and every new one."""
        self._refuses.set()
        with self._lock:
            ended, self._open = self._open, set()
        for one in ended:
            _end(one)

    def admit(self) -> None:
        """Pass connections on again."""
        self._refuses.clear()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            if self._refuses.is_set():
                client.close()
                continue
            try:
                server = socket.create_connection((_HOST, self._target()))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            for ends in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                sink.sendall(data)
        for one in (source, sink):
            _end(one)
        with self._lock:
            self._open -= {source, sink}


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
