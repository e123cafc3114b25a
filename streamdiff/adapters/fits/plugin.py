"""Offers the ``fits`` reader to the host."""

from collections.abc import Callable, Mapping

from streamdiff.adapters.fits.reader import FitsReader
from streamdiff.hookspecs import hookimpl
from streamdiff.stages import ExposureReader


@hookimpl
def streamdiff_readers() -> Mapping[str, Callable[..., ExposureReader]]:
    """Offer ``fits``."""
    return {"fits": FitsReader}
