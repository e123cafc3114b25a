import numpy as np
import pytest

from streamdiff.model import StarList

COLUMNS = {name: np.arange(1.0, 4.0) for name in ("x", "y", "flux", "snr")}


def test_columns_can_not_be_written_to():
    given = np.arange(3.0)
    stars = StarList(**COLUMNS | {"x": given})
    given[0] = 99
    assert stars.x.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="read-only"):
        stars.flux[0] = 1
    assert len(stars) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flux": [1.0]}, "one length"),
        ({"x": [[1.0]] * 3}, "one length"),
        ({"y": [1.0, np.nan, 2.0]}, "y of stars must be finite"),
        ({"snr": [1.0, np.inf, 2.0]}, "snr of stars must be finite"),
    ],
)
def test_what_is_no_list_of_stars_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        StarList(**COLUMNS | changes)
