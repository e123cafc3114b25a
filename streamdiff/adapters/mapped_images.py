"""The images of forced photometry in a file, so that another process can measure.

What is read is what was written, bit for bit, and takes memory only where pixels are
looked at: planes are mapped from the file.
"""

import io
import math
import mmap
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from astropy.wcs import WCS, Sip

from streamdiff.adapters.fits.extensions import quiet
from streamdiff.adapters.whole_file import name_beside
from streamdiff.errors import StoreUnavailableError
from streamdiff.model import Difference, Exposure

# Planes begin at multiples of it, as those that numpy makes do.
_ALIGNED = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MappedImages:
    """A difference and its science image, as far as forced photometry needs them.

    Attributes
    ----------
    difference : Difference
    science : Exposure
    processed_mjd_tai : float
        When they were made; NaN if that is not known.
    """

    difference: Difference
    science: Exposure
    processed_mjd_tai: float = math.nan


def write_images(path: Path, images: MappedImages) -> None:
    """Write images in place of those of before, whole or not at all.

    They are for processes of the same installation, and not to be kept: a crash of
    the machine may leave a file that is cut.

    Raises
    ------
    StoreUnavailableError
        If they can not be written.
    """
    planes: list[pickle.PickleBuffer] = []
    rest = io.BytesIO()
    pickler = _ExactPickler(rest, protocol=5, buffer_callback=planes.append)
    pickler.dump(
        replace(
            images,
            difference=_lean(images.difference),
            science=replace(images.science, stars=None),
        )
    )
    try:
        with name_beside(path) as temporary:
            _write(temporary, rest.getvalue(), planes)
            temporary.replace(path)
    except OSError as err:
        raise StoreUnavailableError(f"{path}: can not be written: {err}") from err


def read_images(path: Path) -> MappedImages:
    """Return images that `write_images` has written; the file may be removed then.

    Raises
    ------
    StoreUnavailableError
        If there are none.
    """
    try:
        with path.open("rb") as file:
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as err:
        raise StoreUnavailableError(f"{path}: can not be read: {err}") from err
    # It was written a moment ago, by a process of our own, into our own folder.
    places, rest = pickle.loads(content)  # noqa: S301
    planes = [content[start : start + size] for start, size in places]
    with quiet():
        images: MappedImages = pickle.loads(rest, buffers=planes)  # noqa: S301
    return images


def _write(path: Path, rest: bytes, planes: Sequence[pickle.PickleBuffer]) -> None:
    sizes = [plane.raw().nbytes for plane in planes]
    padded = [-(-size // _ALIGNED) * _ALIGNED for size in sizes]
    # Where planes begin depends on the length of the list that tells it: room is left.
    begin = -(-(len(rest) + 1024 + 32 * len(planes)) // _ALIGNED) * _ALIGNED
    starts = [begin + sum(padded[:i]) for i in range(len(planes))]
    with path.open("xb") as file:
        pickle.dump((list(zip(starts, sizes, strict=True)), rest), file, protocol=5)
        for start, plane in zip(starts, planes, strict=True):
            file.seek(start)
            file.write(plane.raw())


def _lean(difference: Difference) -> Difference:
    """Return a difference without what only others need."""
    return replace(
        difference,
        matching_kernel=None,
        science_kernel=None,
        background=None,
        score=None,
        template_score=None,
        matched_template=None,
        kernel_candidates=None,
        metrics={},
    )


class _ExactPickler(pickle.Pickler):
    """Keeps all digits of a WCS, of which astropy's own way keeps twelve.

    A polynomial in PV cards (TPV) has moved into WCSLIB's distortions, and is left
    with those that a header has, which are 14.
    """

    def reducer_override(self, obj: object) -> Any:  # noqa: ANN401 (pickle's own)
        if not isinstance(obj, WCS):
            return NotImplemented
        with quiet():
            make, arguments = obj.__reduce__()[:2]
        linear, sip = obj.wcs, obj.sip
        numbers = (linear.get_pc(), linear.get_cdelt(), linear.crpix, linear.crval)
        distortion = None
        if sip is not None:
            distortion = (sip.a, sip.b, sip.ap, sip.bp, sip.crpix)
        return _exact, (make, arguments, numbers, linear.get_pv(), distortion)


def _exact(
    make: Callable[..., WCS],
    arguments: tuple[Any, ...],
    numbers: tuple[Any, ...],
    parameters: list[Any],
    distortion: tuple[Any, ...] | None,
) -> WCS:
    """Return the WCS that astropy makes of a header, with all of its digits."""
    wcs = make(*arguments)
    linear = wcs.wcs
    linear.pc, linear.cdelt, linear.crpix, linear.crval = numbers
    if parameters:
        linear.set_pv(parameters)
    if distortion is not None:
        wcs.sip = Sip(*distortion)
    linear.set()
    return wcs
