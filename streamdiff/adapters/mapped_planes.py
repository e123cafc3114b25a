"""Planes in a temporary file, which take memory only where pixels are looked at."""

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import Coadd, Exposure

# Gives a plane, read from disk as its pixels are used.
MappedPlane = Callable[[], NDArray[Any]]


def write_plane(file: IO[bytes], plane: NDArray[Any]) -> MappedPlane:
    """Write a plane behind what a file holds."""
    offset = file.seek(0, 2)
    file.write(np.ascontiguousarray(plane).data)
    file.flush()
    dtype, shape = plane.dtype, plane.shape
    return lambda: np.asarray(np.memmap(file, dtype, "r", offset, shape))


def write_exposure(file: IO[bytes], exposure: Exposure) -> Callable[[], Exposure]:
    """Write the planes of an exposure, and return what makes it anew of mapped ones.

    What is let go of takes no memory.
    """
    names = ["image", "variance", "mask"]
    if isinstance(exposure.covariance_factor, np.ndarray):
        names.append("covariance_factor")
    planes = {name: write_plane(file, getattr(exposure, name)) for name in names}
    rest = _without_pixels(exposure)

    def made_anew() -> Exposure:
        made = copy(rest)
        for name, plane in planes.items():
            # They are those of an exposure: to check them again would read them all.
            object.__setattr__(made, name, plane())
        return made

    return made_anew


def write_coadd(file: IO[bytes], coadd: Coadd) -> Callable[[], Coadd]:
    """Write the planes of a coadd, see `write_exposure`."""
    exposure = write_exposure(file, coadd.exposure)
    n_image = write_plane(file, coadd.n_image)
    inputs, artifacts = (
        None if plane is None else write_plane(file, plane)
        for plane in (coadd.input_map, coadd.artifact_map)
    )
    rest = replace(
        coadd,
        exposure=_without_pixels(coadd.exposure),
        n_image=np.broadcast_to(np.int32(0), coadd.n_image.shape),
        input_map=None,
        artifact_map=None,
    )

    def made_anew() -> Coadd:
        return replace(
            rest,
            exposure=exposure(),
            n_image=n_image(),
            input_map=inputs() if inputs else None,
            artifact_map=artifacts() if artifacts else None,
        )

    return made_anew


def _without_pixels(exposure: Exposure) -> Exposure:
    """Return an exposure with planes of its shape that take no memory."""
    is_map = isinstance(exposure.covariance_factor, np.ndarray)
    return replace(
        exposure,
        image=np.broadcast_to(np.float32(0), exposure.shape),
        variance=np.broadcast_to(np.float32(0), exposure.shape),
        mask=np.broadcast_to(np.int32(0), exposure.shape),
        covariance_factor=1.0 if is_map else exposure.covariance_factor,
    )
