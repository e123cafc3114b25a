import numpy as np
import pytest

from streamdiff.app.replay.completeness import completeness, completeness_picture

SNR = np.array([2.0, 5.5, 5.6, 5.7, 5.8, 100.0])
RECOVERY = {
    "snr": SNR,
    "flux": 10 * SNR,
    "is_found": np.array([0, 0, 1, 1, 1, 1]),
    "forced_flux": 10 * SNR + np.array([10, -10, 10, -10, 10, np.nan]),
    "forced_flux_error": np.full(6, 10.0),
}


def test_bins_are_of_signal_over_noise():
    bins = completeness(RECOVERY)
    assert [(b.low, b.high, b.n) for b in bins] == [
        (pytest.approx(0, abs=0.01), 3.0, 1),
        (5.0, 6.0, 4),
        (60.0, np.inf, 1),
    ]
    faint, middle, bright = bins
    assert (faint.completeness, middle.completeness) == (0, 0.75)
    # Of three of four: p (1 - p) / n = 0.047, with Wilson's correction.
    assert middle.error == pytest.approx(np.sqrt(0.046875 + 1 / 64) / 1.25)
    assert middle.flux_ratio == pytest.approx(1, abs=0.2)
    assert np.isnan(bright.flux_ratio)


def test_bins_may_be_of_magnitudes():
    bins = completeness(RECOVERY, magnitudes=True)
    # 31.4 - 2.5 log10(flux) for 1000, 55 to 58 and 20 nJy.
    assert [(b.low, b.n) for b in bins] == [(23.5, 1), (26.5, 1), (27.0, 3), (28.0, 1)]


def test_nothing_injected_is_no_bin():
    assert completeness({}) == ()


@pytest.mark.parametrize("magnitudes", [False, True])
def test_the_picture_has_a_curve_for_each_name(magnitudes):
    bins = completeness(RECOVERY, magnitudes=magnitudes)
    both = completeness_picture({"a": bins, "b": bins}, magnitudes=magnitudes)
    one = completeness_picture({"a": bins}, magnitudes=magnitudes)
    assert both.startswith(b"\x89PNG")
    assert both != one
