"""The handler of a worker that replays: pinned templates, and a clock that stands."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from streamdiff import log
from streamdiff.adapters.clock import mjd_tai
from streamdiff.app import wiring
from streamdiff.app.handler import EventHandler
from streamdiff.app.replay.events import pins_of
from streamdiff.app.warm_up import warm_up
from streamdiff.app.worker import make_handler
from streamdiff.config import Settings
from streamdiff.model import Coadd, Exposure, Skip, Template, TemplateId
from streamdiff.pipeline.cover import TemplateCover
from streamdiff.ports import Finished, TemplateReader, WorkOrder


class RecordClock:
    """The time at which the record in work was sent; it does not go on.

    Attributes
    ----------
    now_s : float
    processed_mjd_tai : float or None
        When it was processed before, which is told again.
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        self.processed_mjd_tai: float | None = None

    def mjd_tai(self) -> float:
        """Return when the record is to have been processed."""
        if self.processed_mjd_tai is not None:
            return self.processed_mjd_tai
        return mjd_tai(self.now_s)

    def time(self) -> float:
        """Return seconds since 1970, UTC."""
        return self.now_s

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return self.now_s


@dataclass(frozen=True, slots=True, kw_only=True)
class _PinnedVersions:
    """A template store in which only some versions exist.

    Attributes
    ----------
    store : TemplateReader
    versions : mapping of str to int
        By template id.
    """

    store: TemplateReader
    versions: Mapping[str, int]

    def newest(self, template_id: TemplateId) -> int | None:
        """Return the version that was used; `None` if none was."""
        return self.versions.get(str(template_id))

    def load(self, template_id: TemplateId, version: int) -> Coadd | None:
        """Return one version; `None` if it is not kept any more."""
        return self.store.load(template_id, version)


class PinnedTemplates:
    """Gives the template that a visit was compared with before.

    Parameters
    ----------
    cover : TemplateCover

    Attributes
    ----------
    versions : mapping of str to int or None
        By template id, of the visit in work; `None` for the newest.
    """

    def __init__(self, cover: TemplateCover) -> None:
        self._cover = cover
        self.versions: Mapping[str, int] | None = None

    def cover(
        self, science: Exposure, *, name: str, version: int | None
    ) -> Template | Skip:
        """Return the template on the pixels of the science exposure."""
        if self.versions is None:
            return self._cover.cover(science, name=name, version=version)
        store = _PinnedVersions(store=self._cover.store, versions=self.versions)
        return replace(self._cover, store=store).cover(science, name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayHandler:
    """Turns an archived record into the records that answer it.

    Attributes
    ----------
    handler : EventHandler
    templates : PinnedTemplates
    clock : RecordClock
    """

    handler: EventHandler
    templates: PinnedTemplates
    clock: RecordClock

    def __call__(self, order: WorkOrder) -> Finished:
        """Return what would have been sent for a record."""
        pins = pins_of(order.record)
        self.clock.now_s = max(order.record.timestamp_ms, 0) / 1000
        self.clock.processed_mjd_tai = pins.processed_mjd_tai
        self.templates.versions = pins.templates
        return self.handler(order)


def start_replay_worker(settings: Settings, *, log_level: str) -> ReplayHandler:
    """Return the handler of a process of its own, with nothing left to be slow at."""
    log.configure(level=log_level)
    handler = make_replay_handler(settings)
    warm_up(handler.handler.visits, handler.handler.templates.warper)
    return handler


def make_replay_handler(settings: Settings) -> ReplayHandler:
    """Return the handler of archived records.

    It associates nothing, but keeps the images that are needed to do so: see
    `streamdiff.app.replay.associate`.
    """
    clock, handler = RecordClock(), make_handler(settings)
    cover = handler.visits.templates
    if not isinstance(cover, TemplateCover):
        raise TypeError(f"templates come from {type(cover).__name__}")
    templates = PinnedTemplates(cover)
    are_measured = wiring.associates(settings) and settings.catalogue.forced_photometry
    return ReplayHandler(
        handler=replace(
            handler,
            visits=replace(
                handler.visits,
                templates=templates,
                association=None,
                now_mjd_tai=clock.mjd_tai,
            ),
            reporter=replace(handler.reporter, clock=clock),
            results=replace(handler.results, images=are_measured),
        ),
        templates=templates,
        clock=clock,
    )
