"""Mask planes: what is special about a pixel."""

from collections.abc import Iterable
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray


class MaskPlane(IntFlag):
    """The bits of a mask, int32; a set bit means special.

    Which planes exclude a pixel is always an explicit combination of members,
    such as `UNUSABLE`; no plane excludes by itself.
    """

    BAD = 1 << 0
    SAT = 1 << 1
    INTRP = 1 << 2
    CR = 1 << 3
    EDGE = 1 << 4
    DETECTED = 1 << 5
    DETECTED_NEGATIVE = 1 << 6
    SUSPECT = 1 << 7
    NO_DATA = 1 << 8
    CLIPPED = 1 << 9
    REJECTED = 1 << 10
    SENSOR_EDGE = 1 << 11
    INEXACT_PSF = 1 << 12
    STREAK = 1 << 13
    HIGH_VARIANCE = 1 << 14
    BRIGHT_OBJECT = 1 << 15
    SAT_TEMPLATE = 1 << 16
    INJECTED = 1 << 17
    INJECTED_TEMPLATE = 1 << 18

    @classmethod
    def named(cls, names: Iterable[str]) -> "MaskPlane":
        """Return the combination of the planes that options name.

        Raises
        ------
        ValueError
            If there is no plane of such a name.
        """
        combined = cls(0)
        for name in names:
            if name not in cls.__members__:
                known = " ".join(cls.__members__)
                raise ValueError(f"{name!r} is no mask plane: there are {known}")
            combined |= cls[name]
        return combined

    def in_mask(self, mask: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Return True where any of these planes is set; the shape of ``mask``."""
        found = np.empty(np.shape(mask), np.bool_)
        # As a bool, any bit is True: no second pass compares with 0.
        np.bitwise_and(
            mask, np.int32(self), out=found, dtype=np.int32, casting="unsafe"
        )
        return found


NO_PLANES = MaskPlane(0)

# Pixels whose value says nothing about the sky.
UNUSABLE = MaskPlane.BAD | MaskPlane.SAT | MaskPlane.CR | MaskPlane.NO_DATA
