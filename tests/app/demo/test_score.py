import pytest

from streamdiff.app.demo.score import MATCH_RADIUS, completeness, score_visit
from streamdiff.testing import TrueChange


def change(x, y, snr):
    return TrueChange(
        kind="transient", ra=0, dec=0, x=x, y=y, flux=10 * snr, ideal_snr=snr
    )


def alert(number, x, y):
    return {"diaSource": {"diaSourceId": number, "x": x, "y": y}}


def test_alerts_are_matched_with_changes_by_position():
    changes = [change(10, 10, 20), change(50, 50, -12), change(90, 90, 6)]
    alerts = [alert(1, 11, 10), alert(2, 50, 50 + 2 * MATCH_RADIUS)]
    score = score_visit(7, changes, alerts, 3.0)
    assert score.found == (True, False, False)
    assert score.false_ids == (2,)
    assert score.n_alerts == 2


@pytest.mark.parametrize(
    ("changes", "alerts", "found", "false"),
    [
        ([], [alert(1, 5, 5)], (), (1,)),
        ([change(5, 5, 9)], [], (False,), ()),
        ([], [], (), ()),
    ],
)
def test_no_change_or_no_alert_is_fine(changes, alerts, found, false):
    score = score_visit(7, changes, alerts, 3.0)
    assert (score.found, score.false_ids) == (found, false)


def test_completeness_counts_both_polarities_within_the_limits():
    changes = [change(10, 10, 20), change(50, 50, -12), change(90, 90, 6)]
    scores = [score_visit(7, changes, [alert(1, 50, 50)], 3.0)]
    assert completeness(scores, 10) == (1, 2)
    assert completeness(scores, 5, 10) == (0, 1)
