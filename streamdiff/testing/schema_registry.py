"""A small Schema Registry in memory, for tests of what is written for a real one.

It answers the requests of Confluent's documented interface that clients make to
register, look up and read Avro schemas; of compatibility it knows nothing.
"""

import json
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, Self

_TYPE = "application/vnd.schemaregistry.v1+json"
_NO_SUBJECT, _NO_SCHEMA, _NO_VERSION = 40401, 40403, 40402
# Ids that are nobody's own.
_FIRST_ID = 500_001


@dataclass(slots=True)
class _Schemas:
    """The schemas by id, and the ids under every subject, in their order."""

    texts: dict[int, str] = field(default_factory=dict)
    subjects: dict[str, list[int]] = field(default_factory=dict)

    def id_of(self, text: str) -> int | None:
        """Return the id of a schema; white space and order of keys do not count."""
        wanted = json.loads(text)
        known = (i for i, t in self.texts.items() if json.loads(t) == wanted)
        return next(known, None)

    def register(self, subject: str, text: str) -> int:
        """Return the id of a schema that is under a subject from now on."""
        found = self.id_of(text)
        id_ = _FIRST_ID + len(self.texts) if found is None else found
        self.texts.setdefault(id_, text)
        versions = self.subjects.setdefault(subject, [])
        if id_ not in versions:
            versions.append(id_)
        return id_


class SchemaRegistryServer:
    """The registry on a port of its own, while in its context.

    Attributes
    ----------
    url : str
    """

    def __init__(self) -> None:
        handler = type("Handler", (_Handler,), {"schemas": _Schemas()})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    schemas: _Schemas

    def do_GET(self) -> None:
        """Answer with a schema, by its id or by its version under a subject."""
        path = self.path.partition("?")[0]
        if found := re.fullmatch(r"/schemas/ids/(\d+)", path):
            text = self.schemas.texts.get(int(found[1]))
            if text is None:
                self._error(_NO_SCHEMA, "Schema not found")
            else:
                self._answer({"schema": text})
        elif found := re.fullmatch(r"/subjects/([^/]+)/versions/(latest|\d+)", path):
            self._version(found[1], found[2])
        else:
            self._error(_NO_SUBJECT, f"nothing at {path}")

    def do_POST(self) -> None:
        """Register a schema under a subject, or look it up there."""
        path = self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        text = json.loads(body)["schema"]
        if found := re.fullmatch(r"/subjects/([^/]+)/versions", path):
            self._answer({"id": self.schemas.register(found[1], text)})
        elif found := re.fullmatch(r"/subjects/([^/]+)", path):
            self._look_up(found[1], text)
        else:
            self._error(_NO_SUBJECT, f"nothing at {path}")

    def _version(self, subject: str, version: str) -> None:
        ids = self.schemas.subjects.get(subject, [])
        number = len(ids) if version == "latest" else int(version)
        if not ids:
            self._error(_NO_SUBJECT, f"Subject '{subject}' not found.")
        elif not 1 <= number <= len(ids):
            self._error(_NO_VERSION, f"Version {version} not found.")
        else:
            self._answer(self._entry(subject, ids[number - 1]))

    def _look_up(self, subject: str, text: str) -> None:
        id_ = self.schemas.id_of(text)
        if subject not in self.schemas.subjects:
            self._error(_NO_SUBJECT, f"Subject '{subject}' not found.")
        elif id_ is None or id_ not in self.schemas.subjects[subject]:
            self._error(_NO_SCHEMA, "Schema not found")
        else:
            self._answer(self._entry(subject, id_))

    def _entry(self, subject: str, id_: int) -> dict[str, Any]:
        return {
            "subject": subject,
            "id": id_,
            "version": self.schemas.subjects[subject].index(id_) + 1,
            "schema": self.schemas.texts[id_],
        }

    def _error(self, code: int, message: str) -> None:
        self._answer({"error_code": code, "message": message}, status=code // 100)

    def _answer(self, content: dict[str, Any], *, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", _TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
