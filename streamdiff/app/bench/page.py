"""The page of a comparison: tables, and pictures of what each has left."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamdiff.app.bench.figures import FIGURES
from streamdiff.app.bench.run import Comparison, Entry, Images
from streamdiff.app.pages.page import write_page
from streamdiff.app.pages.pictures import data_uri, gray, row_png
from streamdiff.imaging.noise import robust_std
from streamdiff.model import UNUSABLE, Difference

_TEMPLATE = "bench.html.j2"
# Side of what is shown of an image [pixel].
_SIDE = 240
_SIGMAS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The middle of a pair of images, and of what each contestant leaves of it.

    Attributes
    ----------
    name : str
    panels : str
        Names of the panels, in their order.
    uri : str
        The picture as text.
    """

    name: str
    panels: str
    uri: str


def picture(pair: Images, entries: Iterable[Entry]) -> Picture:
    """Return science image, template, and image / sigma of each difference."""
    shown = [(e.contestant, e.attempt.difference) for e in entries if e.attempt]
    panels = [_of_sky(pair.science.image), _of_sky(pair.template.image)]
    panels += [gray(_pulls(d), -_SIGMAS, _SIGMAS) for _, d in shown]
    names = ["science", "template", *(f"{name} / sigma" for name, _ in shown)]
    return Picture(
        name=pair.name,
        panels=", ".join(names),
        uri=data_uri(row_png(panels, enlarged=1)),
    )


def write_bench(
    path: Path,
    entries: Sequence[Entry],
    pictures: Sequence[Picture],
    comparisons: Sequence[Comparison],
    *,
    title: str,
) -> None:
    """Write the page; it holds its pictures and needs no other file.

    Raises
    ------
    StoreUnavailableError
        If it can not be written.
    """
    write_page(
        path,
        __package__,
        _TEMPLATE,
        title=title,
        figures=tuple(FIGURES.values()),
        rows=[(entry, list(_cells(entry))) for entry in entries],
        comparisons=comparisons,
        pictures=pictures,
    )


def told(value: float | None) -> str:
    """Return a figure as text; nothing where there is none."""
    return "" if value is None or not np.isfinite(value) else f"{value:.3g}"


def _cells(entry: Entry) -> Iterator[str]:
    return (told(entry.figures.get(name)) for name in FIGURES)


def _middle(plane: NDArray[np.generic]) -> NDArray[np.float64]:
    starts = (max((n - _SIDE) // 2, 0) for n in plane.shape)
    rows, columns = (slice(start, start + _SIDE) for start in starts)
    return np.asarray(plane[rows, columns], float)


def _of_sky(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    shown = _middle(image)
    level, spread = float(np.nanmedian(shown)), robust_std(shown[np.isfinite(shown)])
    return gray(shown, level - 3 * spread, level + 15 * spread)


def _pulls(difference: Difference) -> NDArray[np.float64]:
    good = ~UNUSABLE.in_mask(difference.mask) & (difference.variance > 0)
    sigma = np.sqrt(np.where(good, difference.variance, np.nan))
    return _middle(difference.image / sigma)
