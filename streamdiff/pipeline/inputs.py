"""Whether a plugin leaves its inputs as they are, seen from some of their pixels.

Planes are read-only views, but whoever wants to can write through them. What several
visits share, such as a template in memory, would be spoilt for all of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from streamdiff.imaging.mapped_pages import mapping_of

# So many samples along each axis of a plane: nobody changes less than a stripe.
_SAMPLES = 32


@dataclass(frozen=True, slots=True)
class InputWatch:
    """Samples of everything that a call is given.

    Attributes
    ----------
    samples : mapping of str to bytes
        By where they are from: "Exposure.image".
    """

    samples: Mapping[str, bytes]

    @classmethod
    def over(cls, arguments: Sequence[object]) -> "InputWatch":
        """Return the samples of arguments, as they are now."""
        samples: dict[str, bytes] = {}
        for number, argument in enumerate(arguments):
            for name, array in _arrays(argument, type(argument).__name__):
                samples[f"{number} {name}"] = _sample(array)
        return cls(samples)

    def changed(self, arguments: Sequence[object]) -> tuple[str, ...]:
        """Return the names of what is no longer as it was."""
        now = InputWatch.over(arguments).samples
        return tuple(
            name.partition(" ")[2]
            for name in self.samples
            if now.get(name) != self.samples[name]
        )


def _arrays(value: object, name: str) -> Iterator[tuple[str, NDArray[np.generic]]]:
    """Yield the arrays of a noun, and of the nouns that it is made of."""
    match value:
        case np.ndarray():
            # Nobody can write to what is mapped for reading.
            if mapping_of(value) is None:
                yield name, value
        case WCS():
            core = value.wcs
            yield f"{name}.crpix", core.crpix
            yield f"{name}.crval", core.crval
            yield f"{name}.cd", np.asarray(value.pixel_scale_matrix)
        case Mapping():
            for key, item in value.items():
                if isinstance(item, np.ndarray):
                    yield f"{name}.{key}", item
        case _ if is_dataclass(value) and not isinstance(value, type):
            for field in fields(value):
                yield from _arrays(getattr(value, field.name), f"{name}.{field.name}")


def _sample(array: NDArray[np.generic]) -> bytes:
    every = tuple(slice(None, None, max(1, n // _SAMPLES)) for n in array.shape)
    return array[every].tobytes()
