"""What keeps the pages safe: who may ask what, and what a browser may do with it."""

from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = frozenset({"GET", "HEAD"})
# Only what this server itself serves: no inline script or style, no other site.
POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """Refuses whatever could write, and names of hosts that are not ours.

    A page of another site may resolve its own name to 127.0.0.1 and ask on behalf of
    who looks at it; it can not choose the name of the host that the browser sends.

    Parameters
    ----------
    app : ASGIApp
    hosts : iterable of str
        Names that this server is asked by, without a port; ``*`` for any.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._answering(scope)(scope, receive, guarded)

    def _answering(self, scope: Scope) -> ASGIApp:
        host = host_name(Headers(scope=scope).get("host", ""))
        if "*" not in self._hosts and host not in self._hosts:
            return PlainTextResponse("this host is not served here\n", 400)
        if scope["method"] not in _METHODS:
            return PlainTextResponse("there is nothing to write here\n", 405)
        return self._app


def host_name(address: str) -> str:
    """Return the host of ``host:port``, of IPv6 without its brackets."""
    if address.startswith("["):
        return address[1:].partition("]")[0].lower()
    return address.partition(":")[0].lower()
