"""Coadds at hand, so that a visit need not load what the last one used."""

import tempfile
import weakref
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass

import structlog

from streamdiff.adapters.mapped_planes import write_coadd
from streamdiff.model import Coadd, TemplateId

log = structlog.get_logger()

_Key = tuple[TemplateId, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A coadd whose planes lie in a file."""

    made_anew: Callable[[], Coadd]
    n_bytes: int
    forget: Callable[[], None]


class CoaddCache:
    """The coadds used last, as many as a number of bytes holds.

    Their planes lie in temporary files that nobody sees, and are mapped from there: a
    visit reads what it needs of them, in the order of bytes of this machine, and takes
    no memory for it once it has let go of them.

    Parameters
    ----------
    max_bytes : int
    directory : str, optional
        Where the files lie; the system's folder for temporary files by default.
    """

    def __init__(self, max_bytes: int, directory: str | None = None) -> None:
        self._max_bytes, self._directory = max_bytes, directory
        self._coadds: OrderedDict[_Key, _Kept] = OrderedDict()
        weakref.finalize(self, _close, self._coadds)

    def get(self, key: _Key) -> Coadd | None:
        """Return a coadd, if it is here."""
        if key not in self._coadds:
            return None
        self._coadds.move_to_end(key)
        return self._coadds[key].made_anew()

    def put(self, key: _Key, coadd: Coadd) -> None:
        """Keep a coadd, and drop others to make room for it."""
        n_bytes = _size(coadd)
        if n_bytes > self._max_bytes:
            return
        while n_bytes + sum(k.n_bytes for k in self._coadds.values()) > self._max_bytes:
            self._coadds.popitem(last=False)[1].forget()
        try:
            self._coadds[key] = self._written(coadd, n_bytes)
        except OSError as err:
            log.warning("template_not_kept", template=str(key[0]), reason=str(err))

    def _written(self, coadd: Coadd, n_bytes: int) -> _Kept:
        with ExitStack() as stack:
            file = stack.enter_context(tempfile.TemporaryFile(dir=self._directory))
            made_anew = write_coadd(file, coadd)
            forget = stack.pop_all().close
        return _Kept(made_anew=made_anew, n_bytes=n_bytes, forget=forget)


def _close(coadds: MutableMapping[_Key, _Kept]) -> None:
    for kept in coadds.values():
        kept.forget()


def _size(coadd: Coadd) -> int:
    exposure = coadd.exposure
    planes = [
        exposure.image,
        exposure.variance,
        exposure.mask,
        exposure.covariance_factor,
        coadd.n_image,
        coadd.input_map,
        coadd.artifact_map,
    ]
    return sum(getattr(plane, "nbytes", 0) for plane in planes)
