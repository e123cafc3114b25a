import numpy as np
import pytest

from streamdiff.imaging.seen import is_seen


@pytest.mark.parametrize("bad_fraction", [0.02, 0.5])
def test_a_stamp_is_seen_where_enough_of_it_is_on_good_pixels(bad_fraction):
    rng = np.random.default_rng(9)
    good = rng.random((140, 50)) > bad_fraction
    good[60:68] = False
    stamp = rng.random((5, 7))
    surrounded = np.pad(good, ((2, 2), (3, 3)))
    windows = np.lib.stride_tricks.sliding_window_view(surrounded, stamp.shape)
    share = (windows * stamp).sum(axis=(2, 3)) / stamp.sum()
    for least in np.linspace(0.02, 0.98, 25):
        clear = np.abs(share - least) > 1e-5
        seen = is_seen(surrounded, stamp, least)
        assert (seen == (share >= least))[clear].all()
