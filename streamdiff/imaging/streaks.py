"""Straight lines across an image: the trails of satellites.

Detected pixels are binned, and every bin on the outline of what is detected votes for
all lines through it (Hough 1962, in the normal form of Duda & Hart 1972, Commun. ACM
15, 11): a narrow trail is all outline, a wide one has two straight sides.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, hypot
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from streamdiff.imaging.compiled import compiled
from streamdiff.model import Area
from streamdiff.model.planes import read_only

# Sides of a bin [pixel], and how many of them the longer side of an image has.
_SMALLEST_BIN, _MOST_BINS = 4, 512
# Part of its pixels that are detected in a bin that is.
_FULL = 0.4
_FEWEST_BINS = 16
# Where more of any line is detected by chance, none stands out.
_MOST_BY_CHANCE = 0.5
# Lines that are looked at, of those with most votes.
_TRIED = 12
# A line's bins lie within this of it [bin].
_NEAR = 1.0
# Trails are not wider [pixel], and pixels enough for a profile have so many rows.
_MOST_WIDTH, _PROFILE_ROWS = 160, 1024
_SKY_QUANTILE = 0.25
# So many lines are drawn in vain for each that is a trail.
_LINES_PER_STREAK = 4
# A line meets a border if it advances more than this towards it per pixel.
_PARALLEL = 1e-12
_EIGHT = np.ones((3, 3), bool)
# A line is known to about this at its ends [pixel].
_MARGIN = 1.0
# A trail ends where its profile has dropped to this part of its height.
_END = 0.2


def find_streaks(
    detected: NDArray[np.bool_],
    *,
    side: int = 1,
    min_fraction: float = 0.5,
    min_filled: float = 0.4,
    max_streaks: int = 8,
) -> list[Area]:
    """Return the trails on an image, as stripes across the whole of it.

    Parameters
    ----------
    detected : ndarray of bool, shape (ny, nx)
        Pixels above a low threshold: a trail may be fainter than the noise of
        single ones.
    side : int
        Sides of the squares [pixel] that ``detected`` has one value for.
    min_fraction : float
        Part of the way across the image, beyond that by chance, on which a trail is
        detected.
    min_filled : float
        Part of its area on which a trail is detected: a crowd of sources is not,
        however many lines can be drawn through it.
    max_streaks : int
        No more are sought.
    """
    seen = _Detected(squares=detected, side=side)
    size = max(_SMALLEST_BIN, ceil(max(seen.shape) / _MOST_BINS))
    bins = _outline(seen.binned(size))
    streaks: list[Area] = []
    for _ in range(_LINES_PER_STREAK * max_streaks):
        found = next(_lines(bins, min_fraction), None)
        if found is None or len(streaks) == max_streaks:
            break
        line, half_width, filled = _widened(found.scaled(size), seen, size)
        if filled < min_filled:
            half_width = 0.0
        else:
            streaks.append(line.stripe(half_width, seen.shape))
        # The bins of one trail must not vote for another.
        points = np.argwhere(bins)[:, ::-1]
        middle = (size - 1) / 2
        near = np.abs(line.distance(size * points + middle)) <= half_width + size
        near |= np.abs(found.distance(points)) <= _NEAR
        x, y = points[near].T
        bins[y, x] = False
    return streaks


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Detected:
    """Which pixels are detected, all of a square alike."""

    squares: NDArray[np.bool_]
    side: int

    @property
    def shape(self) -> tuple[int, int]:
        """Return (ny, nx) of the pixels."""
        ny, nx = self.squares.shape
        return self.side * ny, self.side * nx

    def binned(self, size: int) -> NDArray[np.bool_]:
        """Return the bins most of whose pixels are detected, those cut left out."""
        number = np.empty([n // size for n in self.shape], np.int32)
        _count_detected(read_only(self.squares), self.side, size, number)
        return np.asarray(number >= _FULL * size**2)

    def at(self, y: NDArray[np.intp], x: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return whether pixels of some rows and columns are detected."""
        return self.squares[np.ix_(y // self.side, x // self.side)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """The positions with x cos(angle) + y sin(angle) = offset."""

    angle: float
    offset: float

    @property
    def normal(self) -> NDArray[np.float64]:
        return np.array([np.cos(self.angle), np.sin(self.angle)])

    @property
    def along(self) -> NDArray[np.float64]:
        return np.array([-np.sin(self.angle), np.cos(self.angle)])

    def distance(self, points: NDArray[np.number[Any]]) -> NDArray[np.float64]:
        """Return how far positions (x, y), shape (n, 2), are on its far side."""
        return np.asarray(points @ self.normal - self.offset, float)

    def scaled(self, size: int) -> "_Line":
        """Return the line on the pixels that bins of a size are made of."""
        middle = (size - 1) / 2
        shift = middle * float(self.normal.sum())
        return _Line(angle=self.angle, offset=self.offset * size + shift)

    def chord(self, shape: tuple[int, int]) -> float:
        """Return its length on an image."""
        height, width = shape
        start, stop = -np.inf, np.inf
        origin = self.offset * self.normal
        for at, step, last in zip(
            origin, self.along, (width - 1, height - 1), strict=True
        ):
            if abs(step) < _PARALLEL:
                if not 0 <= at <= last:
                    return 0.0
                continue
            ends = sorted((-at / step, (last - at) / step))
            start, stop = max(start, ends[0]), min(stop, ends[1])
        return max(stop - start, 0.0)

    def stripe(self, half_width: float, shape: tuple[int, int]) -> Area:
        """Return the stripe around it, longer than an image."""
        reach = hypot(*shape) + abs(self.offset)
        origin, across = self.offset * self.normal, half_width * self.normal
        along = reach * self.along
        vertices = (
            origin + across - along,
            origin + across + along,
            origin - across + along,
            origin - across - along,
        )
        return Area(tuple((float(x), float(y)) for x, y in vertices))


@compiled
def _count_detected(
    squares: NDArray[np.bool_], side: int, size: int, number: NDArray[np.int32]
) -> None:
    height, width = number.shape
    along = np.empty(squares.shape[1], np.int32)
    for i in range(height):
        along[:] = 0
        for y in range(i * size, (i + 1) * size):
            line = squares[y // side]
            for k in range(len(along)):
                along[k] += line[k]
        for j in range(width):
            first, last, total = j * size, (j + 1) * size, 0
            for k in range(first // side, (last - 1) // side + 1):
                shared = min((k + 1) * side, last) - max(k * side, first)
                total += shared * along[k]
            number[i, j] = total


def _lines(bins: NDArray[np.bool_], min_fraction: float) -> Iterator[_Line]:
    """Yield the lines that are detected most of the way, most votes first."""
    points = np.argwhere(bins)[:, ::-1]
    by_chance = (2 * _NEAR + 1) * float(np.mean(bins)) if bins.size else 0.0
    if len(points) < _FEWEST_BINS or by_chance > _MOST_BY_CHANCE:
        return
    reach = ceil(hypot(*bins.shape))
    angles = np.linspace(0, np.pi, ceil(np.pi / 2 * reach), endpoint=False)
    normals = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    votes = np.zeros((len(angles), 2 * reach + 2), np.int32)
    _count_votes(points.astype(float), normals, reach, votes)
    least = by_chance + min_fraction * (1 - by_chance)
    for _ in range(_TRIED):
        best, offset = np.unravel_index(votes.argmax(), votes.shape)
        line = _Line(angle=float(angles[best]), offset=float(offset) - reach)
        line = _fitted(line, points)
        if _fraction(line, points, bins.shape) >= least:
            yield line
        # Lines through the same bins.
        turned = slice(max(int(best) - 4, 0), int(best) + 5)
        votes[turned, max(int(offset) - 4, 0) : int(offset) + 5] = 0


@compiled
def _count_votes(
    points: NDArray[np.float64],
    normals: NDArray[np.float64],
    reach: int,
    votes: NDArray[np.int32],
) -> None:
    """Count for each direction of a normal the points at each offset along it."""
    for i in range(len(normals)):
        across, down = normals[i, 0], normals[i, 1]
        for k in range(len(points)):
            offset = points[k, 0] * across + points[k, 1] * down
            votes[i, int(np.rint(offset)) + reach] += 1


def _fitted(line: _Line, points: NDArray[np.int64]) -> _Line:
    """Return the line of least squares through the points near a line."""
    near = points[np.abs(line.distance(points)) <= _NEAR + 0.5]
    if len(near) < _FEWEST_BINS:
        return line
    mean = near.mean(axis=0)
    _, directions = np.linalg.eigh(np.cov(near.T))
    x, y = directions[:, 0]  # of the least scatter
    return _Line(angle=float(np.arctan2(y, x)), offset=float(mean @ (x, y)))


def _fraction(line: _Line, points: NDArray[np.int64], shape: tuple[int, int]) -> float:
    """Return on which part of its way across the bins a line is detected."""
    chord = line.chord(shape)
    if chord < _FEWEST_BINS:
        return 0.0
    near = points[np.abs(line.distance(points)) <= _NEAR]
    # A slanted line has more bins than its length.
    steps = np.abs(line.along).max()
    passed = np.unique(np.rint(near @ line.along * steps))
    return min(passed.size / float(chord * steps), 1.0)


def _outline(bins: NDArray[np.bool_]) -> NDArray[np.bool_]:
    inner = ndimage.binary_erosion(bins, _EIGHT, border_value=1)
    return np.asarray(bins & ~inner)


def _widened(line: _Line, seen: _Detected, size: int) -> tuple[_Line, float, float]:
    """Return the middle of a trail, half its width, and the part that is detected.

    Across the line, a trail is where more pixels are detected than beside it.
    """
    step = max(1, max(seen.shape) // _PROFILE_ROWS)
    y, x = (np.arange(0, n, step) for n in seen.shape)
    thin = seen.at(y, x)
    across, down = line.normal
    distance = x * across + y[:, np.newaxis] * down - line.offset
    near = np.abs(distance) < _MOST_WIDTH
    place = np.floor(distance[near]).astype(int) + _MOST_WIDTH
    n_pixels = np.bincount(place, minlength=2 * _MOST_WIDTH)
    n_detected = np.bincount(place[thin[near]], minlength=2 * _MOST_WIDTH)
    known = n_pixels > 0
    share = n_detected / np.maximum(n_pixels, 1)
    core = slice(_MOST_WIDTH - size, _MOST_WIDTH + size)
    first = _MOST_WIDTH - size + int(np.argmax(share[core]))
    sky = np.quantile(share[known], _SKY_QUANTILE)
    inside = share > sky + _END * (share[first] - sky)
    runs, _ = ndimage.label(inside)
    own = runs == runs[first] if runs[first] else np.arange(runs.size) == first
    filled = float(n_detected[own].sum() / max(n_pixels[own].sum(), 1))
    low, high = np.flatnonzero(own)[[0, -1]] - _MOST_WIDTH
    middle = (low + high + 1) / 2
    moved = _Line(angle=line.angle, offset=line.offset + float(middle))
    return moved, (high + 1 - low) / 2 + _MARGIN, filled
