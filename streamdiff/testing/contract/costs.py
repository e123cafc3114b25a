"""What a plugin costs: time in fft units, memory in planes."""

import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import replace
from time import process_time
from types import MappingProxyType

import numpy as np
import scipy.fft

from streamdiff.model import TemplateId, UnknownPsf
from streamdiff.testing.contract import skies
from streamdiff.testing.contract.check import Arguments, Subject
from streamdiff.testing.contract.kinds import kind_of

_SIDE = 1024
_SHAPE = (_SIDE, _SIDE)
_REPEATS = 3
_N_WARPS = 6
_FLOAT_BYTES = 4


def costs(subject: Subject) -> dict[str, float]:
    """Return the median time and the peak memory of a call.

    Returns
    -------
    dict of str to float
        ``seconds``; ``fft_units``, over the time of one real transform of an image
        of so many pixels; ``memory_planes``, over a float32 plane of it. Images have
        1024 x 1024 pixels; kinds without images get their usual case.
    """
    kind = kind_of(subject)
    make = _LARGE.get(kind.name)
    arguments = make() if make else next(iter(kind.cases_of(subject).values()))
    kind.call(subject, arguments)
    seconds = _median(lambda: kind.call(subject, arguments))
    return {
        "seconds": seconds,
        "fft_units": seconds / fft_seconds(_SHAPE),
        "memory_planes": _peak(lambda: kind.call(subject, arguments)) / _SIDE**2,
    }


def fft_seconds(shape: tuple[int, int]) -> float:
    """Return how long one real transform of a float32 image takes, in one thread.

    Of the processor, as all times here: other work on the machine does not count.
    """
    plane = np.random.default_rng(0).standard_normal(shape, np.float32)
    scipy.fft.rfft2(plane, workers=1)
    return _median(lambda: scipy.fft.rfft2(plane, workers=1))


def _median(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(_REPEATS):
        start = process_time()
        work()
        seconds.append(process_time() - start)
    return float(np.median(seconds))


def _peak(work: Callable[[], object]) -> float:
    """Return the most memory that is held at a time [float32 values]."""
    tracemalloc.start()
    try:
        work()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak / _FLOAT_BYTES


def _measured() -> Arguments:
    x, y = skies.grid(_SHAPE, 32, 16)
    return skies.sources_at(x, y), skies.images_of(skies.pair(_SHAPE, skies.FWHM))


def _warped() -> Arguments:
    sky = skies.field(_SHAPE)
    wcs = sky.dithered_wcs(rotation_deg=2, dx=0.4, dy=7.3)
    return skies.pair(_SHAPE)[0], wcs, _SHAPE


def _decorrelated() -> Arguments:
    science, template = skies.pair(_SHAPE)
    return skies.convolved(science, template), science, template


def _coadded() -> Arguments:
    sky = skies.field(_SHAPE)
    warps = (
        sky.observe(fwhm=skies.FWHM, noise=skies.NOISE, seed=n, visit=n)
        for n in range(1, _N_WARPS + 1)
    )
    return TemplateId(tract=1, patch=2, band="r"), tuple(warps)


_LARGE: Mapping[str, Callable[[], Arguments]] = MappingProxyType(
    {
        "psf": lambda: (replace(skies.pair(_SHAPE)[0], psf=UnknownPsf()),),
        "register": lambda: skies.pair(_SHAPE),
        "warp": _warped,
        "subtract": lambda: skies.pair(_SHAPE),
        "decorrelate": _decorrelated,
        "find": lambda: (skies.images_of(skies.pair(_SHAPE, skies.FWHM)).difference,),
        "measure": _measured,
        "score": _measured,
        "coadd": _coadded,
    }
)
