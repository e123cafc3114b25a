"""The pages of the monitor as an ASGI application; it only ever reads."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from typing import cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from streamdiff import __version__
from streamdiff.app.alerts.curve_plot import CurvePlot
from streamdiff.app.alerts.light_curves import LightCurves
from streamdiff.app.alerts.report import flux_unit
from streamdiff.app.monitor.alert_page import alert_values
from streamdiff.app.monitor.cutouts import SHOWN, read_stamp
from streamdiff.app.monitor.guard import Guard
from streamdiff.app.monitor.packets import Packet
from streamdiff.app.monitor.recent import Recent
from streamdiff.app.monitor.rows import PAGE_SIZE, AlertQuery, whole_number
from streamdiff.app.monitor.stamps import SCALES, Stamp
from streamdiff.app.monitor.status import status_of
from streamdiff.app.pages.page import page_environment, style_sheet
from streamdiff.errors import UnreadableImageError

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
# Alerts that a light curve is made of.
_MOST_OF_OBJECT = 50
# What fits on a phone comes first.
_COLUMNS = (
    ("id", "alert"),
    ("snr", "S/N"),
    ("visit", "visit"),
    ("detector", "detector"),
    ("band", "band"),
    ("mjd", "MJD [TAI]"),
    ("flux", "flux"),
    ("reliability", "reliability"),
    ("object", "object"),
)
_STATIC = {
    "monitor.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "monitor.js": "text/javascript; charset=utf-8",
}

Now = Callable[[], datetime]


def site(
    recent: Recent, *, hosts: Iterable[str] = LOCAL_HOSTS, now: Now | None = None
) -> Starlette:
    """Return the application.

    Parameters
    ----------
    recent : Recent
        What is shown; it may grow meanwhile.
    hosts : iterable of str
        Names that the server may be asked by; ``*`` for any.
    now : callable, optional
        The time, with a time zone.
    """
    pages = _Pages(recent, now or partial(datetime.now, UTC))
    alert = "/alerts/{alert_id}"
    return Starlette(
        routes=[
            Route("/", pages.overview),
            Route("/status.json", pages.status_json),
            Route("/alerts", pages.alerts),
            Route("/alerts.json", pages.alerts_json),
            Route(alert, pages.alert),
            Route(f"{alert}/packet.avro", pages.packet),
            Route(f"{alert}/{{panel}}.png", pages.stamp_png),
            Route(f"{alert}/{{panel}}.json", pages.stamp_json),
            Route("/static/style.css", _style),
            Route("/static/{name}", _static),
        ],
        middleware=[Middleware(Guard, hosts=tuple(hosts))],
        exception_handlers={404: pages.missing},
    )


class _Pages:
    """The answers; those that are no coroutines run in threads of the server."""

    def __init__(self, recent: Recent, now: Now) -> None:
        self._recent = recent
        self._now = now
        self._templates = page_environment(__package__)

    def overview(self, request: Request) -> Response:  # noqa: ARG002
        """Answer with how the service does."""
        status = status_of(self._recent.picture(), self._now())
        return self._page("overview.html.j2", title="Overview", status=status)

    def status_json(self, request: Request) -> Response:  # noqa: ARG002
        """Answer with the same for programs."""
        status = status_of(self._recent.picture(), self._now())
        return JSONResponse(status.as_json())

    def alerts(self, request: Request) -> Response:
        """Answer with the table of alerts."""
        picture, query = self._recent.picture(), AlertQuery.parse(request.query_params)
        chosen = query.choose(picture.rows)
        return self._page(
            "alerts.html.j2",
            title="Alerts",
            query=query,
            columns=_COLUMNS,
            rows=query.page_of(chosen),
            n_chosen=len(chosen),
            n_kept=len(picture.rows),
            n_pages=-(-len(chosen) // PAGE_SIZE) or 1,
            bands=sorted({row.band for row in picture.rows}),
        )

    def alerts_json(self, request: Request) -> Response:
        """Answer with a page of the table for programs."""
        query = AlertQuery.parse(request.query_params)
        chosen = query.choose(self._recent.picture().rows)
        rows = [row.as_json() for row in query.page_of(chosen)]
        return JSONResponse({"total": len(chosen), "page": query.page, "alerts": rows})

    def alert(self, request: Request) -> Response:
        """Answer with all that an alert says."""
        packet = self._packet(request)
        values = alert_values(packet.record(), request.query_params)
        return self._page("alert.html.j2", plot=self._curve(packet), **values)

    def packet(self, request: Request) -> Response:
        """Answer with the alert as a file."""
        packet = self._packet(request)
        name = f"alert_{int(packet.record()['diaSourceId'])}"
        return Response(
            packet.container(name),
            media_type="application/octet-stream",
            headers={"content-disposition": f'attachment; filename="{name}.avro"'},
        )

    def stamp_png(self, request: Request) -> Response:
        """Answer with the picture of a cutout."""
        scale = request.query_params.get("scale", "")
        content = self._stamp(request).png(scale if scale in SCALES else SCALES[0])
        return Response(content, media_type="image/png")

    def stamp_json(self, request: Request) -> Response:
        """Answer with the values of a cutout."""
        return JSONResponse(self._stamp(request).values())

    def missing(self, request: Request, error: Exception) -> Response:  # noqa: ARG002
        """Answer that there is no such thing, or that it is not kept any more."""
        return self._page("missing.html.j2", title="Not here", status_code=404)

    def _page(
        self, template: str, *, status_code: int = 200, **values: object
    ) -> Response:
        page = self._templates.get_template(template)
        text = page.render(version=__version__, **values)
        return HTMLResponse(text, status_code)

    def _packet(self, request: Request) -> Packet:
        number = whole_number(request.path_params["alert_id"])
        packet = None if number is None else self._recent.packet(number)
        if packet is None:
            raise HTTPException(404)
        return packet

    def _stamp(self, request: Request) -> Stamp:
        panel = request.path_params["panel"]
        if panel not in SHOWN:
            raise HTTPException(404)
        try:
            stamp = read_stamp(self._packet(request).record(), panel)
        except UnreadableImageError:
            stamp = None
        if stamp is None:
            raise HTTPException(404)
        return stamp

    def _curve(self, packet: Packet) -> CurvePlot | None:
        """Return the light curve that the kept alerts of an object tell, if any."""
        record = packet.record()
        dia_object_id = record["diaSource"].get("diaObjectId")
        if not dia_object_id:
            return None
        curves = LightCurves()
        curves.add(record)
        for other in self._recent.of_object(dia_object_id, _MOST_OF_OBJECT):
            curves.add(other.record())
        points = curves.curve(dia_object_id)
        return CurvePlot.of(points, flux_unit(record)) if points else None


def _style(request: Request) -> Response:  # noqa: ARG001
    return Response(style_sheet(), media_type="text/css; charset=utf-8")


def _static(request: Request) -> Response:
    name = cast("str", request.path_params["name"])
    if name not in _STATIC:
        raise HTTPException(404)
    content = files(__package__).joinpath("static", name).read_bytes()
    return Response(content, media_type=_STATIC[name])
