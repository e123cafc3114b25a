"""A real PostgreSQL server of one's own, for tests."""

import os
import pwd
import shutil
import socket
import subprocess
import uuid
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from sqlalchemy import create_engine

from streamdiff.errors import ConfigError

# Where Debian keeps the programs of a server, which are on no PATH.
_DEBIAN = "/usr/lib/postgresql"
# A server refuses to run as root; these users are on most systems.
_USERS = ("postgres", "nobody")
_TIMEOUT_S = 60
_SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_wal_size = 2GB
wal_compression = on
"""


def find_server() -> Path:
    """Return the folder with ``initdb`` and ``postgres``.

    Raises
    ------
    ConfigError
        If there is none.
    """
    on_path = shutil.which("initdb")
    if on_path and shutil.which("postgres"):
        return Path(on_path).parent
    for program in sorted(Path(_DEBIAN).glob("*/bin/postgres"), reverse=True):
        return program.parent
    raise ConfigError("no PostgreSQL server: install Debian's postgresql, or such")


class PostgresServer:
    """A server on a free port of 127.0.0.1, with a database of its own.

    As a context manager it is started, and ended; then nothing is left of it. As
    root, it runs as another user.

    Raises
    ------
    ConfigError
        If no server is installed.
    """

    def __init__(self) -> None:
        self._programs = find_server()
        self._own = TemporaryDirectory(prefix="streamdiff-postgres-")
        self._folder = Path(self._own.name)
        self._port = _free_port()

    @property
    def url(self) -> str:
        """Return the URL of its database, as SQLAlchemy writes it."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self._port}/postgres"

    def new_database(self) -> str:
        """Return the URL of another database, which is empty."""
        name = f"d{uuid.uuid4().hex[:12]}"
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return f"{self.url.rpartition('/')[0]}/{name}"

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            shutil.chown(self._folder, _user())
        data = str(self._folder / "data")
        self._run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8")
        with (self._folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write(f"{_SETTINGS}port = {self._port}\n")
        self.start()
        return self

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        data, log = str(self._folder / "data"), str(self._folder / "log")
        self._run("pg_ctl", "-D", data, "-l", log, "-w", "start")

    def stop(self) -> None:
        """End the server at once; what was committed is kept."""
        data = str(self._folder / "data")
        self._run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._own.cleanup()

    def _run(self, program: str, *arguments: str) -> None:
        is_root, output = os.geteuid() == 0, self._folder / "out"
        # A file: the server keeps what it was given as output, a pipe would not end.
        with output.open("w") as file:
            done = subprocess.run(  # noqa: S603 - our own programs and folder
                [self._programs / program, *arguments],
                cwd=self._folder,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=_TIMEOUT_S,
                user=_user() if is_root else None,
                group=_group() if is_root else None,
            )
        if done.returncode:
            raise ConfigError(f"{program} failed: {output.read_text()[-500:]}")


def _user() -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _USERS if name in known)


def _group() -> int:
    return pwd.getpwnam(_user()).pw_gid


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
