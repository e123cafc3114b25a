import threading

import numpy as np
import pytest
import scipy.fft

from streamdiff.imaging.strips import in_strips


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("n_rows", [0, 1, 2, 100])
def test_each_row_is_done_once(n_threads, n_rows):
    done = np.zeros(n_rows, int)

    def work(rows):
        done[rows] += 1

    with scipy.fft.set_workers(n_threads):
        in_strips(work, n_rows)
    assert (done == 1).all()


def test_strips_are_done_at_the_same_time():
    both = threading.Barrier(2)
    with scipy.fft.set_workers(2):
        in_strips(lambda _: both.wait(timeout=60), 10)


def test_what_a_strip_raises_is_raised():
    def work(rows):
        if rows.start:
            raise ValueError("the second strip")

    with scipy.fft.set_workers(2), pytest.raises(ValueError, match="the second strip"):
        in_strips(work, 10)
