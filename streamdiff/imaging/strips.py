"""Rows of an image done in several threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import scipy.fft


def in_strips(work: Callable[[slice], object], n_rows: int) -> None:
    """Do work on all rows, in as many threads as Fourier transforms are given.

    Parameters
    ----------
    work : callable
        Does the rows of a slice, with a start and a stop: compiled loops and others
        that let go of the interpreter's lock. What it does to a row must not depend
        on the strip that the row is in.
    n_rows : int

    Notes
    -----
    The threads are those of `scipy.fft.set_workers`, one by default.
    """
    n_strips = max(min(scipy.fft.get_workers(), n_rows), 1)
    if n_strips == 1:
        work(slice(0, n_rows))
        return
    limits = [n_rows * k // n_strips for k in range(n_strips + 1)]
    strips = [slice(*pair) for pair in pairwise(limits)]
    with ThreadPoolExecutor(n_strips) as pool:
        for _ in pool.map(work, strips):  # raises what one of them raises
            pass
