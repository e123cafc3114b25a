"""Groups of pixels that touch, where few pixels of an image are special."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamdiff.imaging.compiled import compiled, inlined
from streamdiff.imaging.places import Places


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Islands:
    """Pixels of an image, row by row, and the islands that they make.

    Attributes
    ----------
    row, column, number : ndarray of int64, shape (n,)
        Of each pixel; islands are numbered from 0 on, by their first pixels.
    count : int
        How many islands there are.
    """

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    number: NDArray[np.int64]
    count: int

    @classmethod
    def of(cls, here: Places, *, corners: bool = True) -> "Islands":
        """Return the islands of pixels.

        Parameters
        ----------
        here : tuple of ndarray of int64, shape (n,)
            Their rows and columns, row by row; see `streamdiff.imaging.places`.
        corners : bool
            Whether pixels touch by their corners, too.
        """
        row, column = here
        number = np.empty(row.size, np.int64)
        count = _number(row, column, 1 if corners else 0, number)
        return cls(row=row, column=column, number=number, count=count)

    def __len__(self) -> int:
        return len(self.row)

    def at(
        self, row: NDArray[np.int64], column: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return the islands of pixels, -1 for those on none; shape (m,)."""
        if not len(self):
            return np.full(len(row), -1)
        width = max(int(self.column.max()), int(column.max(initial=0))) + 1
        own, wanted = self.row * width + self.column, row * width + column
        place = np.minimum(np.searchsorted(own, wanted), len(self) - 1)
        return np.where(own[place] == wanted, self.number[place], -1)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Return the number of pixels of each island; shape (count,)."""
        return np.bincount(self.number, minlength=self.count)


@compiled
def _number(
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    beside: int,
    number: NDArray[np.int64],
) -> int:
    """Fill in the islands of pixels, and return how many there are.

    Each pixel leads to an earlier one of its island, or to itself if it is the first
    (the union-find of Galler & Fischer 1964, Commun. ACM 7, 301).
    """
    above = 0
    for i in range(len(row)):
        touches = i > 0 and row[i - 1] == row[i] and column[i - 1] == column[i] - 1
        number[i] = i - 1 if touches else i
        while row[above] < row[i] - 1 or (
            row[above] == row[i] - 1 and column[above] < column[i] - beside
        ):
            above += 1
        k = above
        while row[k] < row[i] and column[k] <= column[i] + beside:
            one, other = _first(number, i), _first(number, k)
            number[max(one, other)] = min(one, other)
            k += 1
    count = 0
    for i in range(len(row)):
        if number[i] == i:
            number[i] = count
            count += 1
        else:
            number[i] = number[number[i]]
    return count


@inlined
def _first(number: NDArray[np.int64], i: int) -> int:
    """Return the first pixel that one leads to, on ways that get shorter."""
    while number[i] != i:
        number[i] = number[number[i]]
        i = number[i]
    return i
