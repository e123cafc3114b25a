"""What became of kernel candidates."""

import numpy as np
import pytest

from streamdiff.model import CandidateStatus, KernelCandidates
from streamdiff.model.kernel_candidates import COLUMNS


def candidates(n=3, **columns):
    values = {name: np.arange(n, dtype=float) for name in COLUMNS}
    values["status"] = np.full(n, CandidateStatus.USED)
    return KernelCandidates(**{**values, **columns})


def test_candidates_of_a_status_are_told_apart():
    found = candidates(status=["used", "control", "used"])
    assert found.having(CandidateStatus.USED).tolist() == [True, False, True]


def test_columns_can_not_be_written_through():
    found = candidates(targets=np.zeros((3, 5, 5)))
    for array in (found.x, found.status, found.targets):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[1]


def test_no_candidates_are_none():
    assert len(candidates(0)) == 0


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"snr": np.zeros(2)}, "length"),
        ({"status": ["used", "lost", "used"]}, "lost"),
        ({"targets": np.zeros((2, 5, 5))}, "3 squares"),
        ({"residuals": np.zeros((3, 5, 4))}, "3 squares"),
    ],
)
def test_wrong_columns_are_refused(columns, complaint):
    with pytest.raises(ValueError, match=complaint):
        candidates(**columns)
