import numpy as np
import pytest

from streamdiff.imaging.noise import median, quantile, robust_std, typical_variance


@pytest.mark.parametrize("n", [1, 2, 7, 1000])
@pytest.mark.parametrize("part", [0, 0.16, 0.5, 1])
def test_quantiles_are_those_of_numpy(n, part):
    values = np.random.default_rng(n).normal(size=n)
    given = values.copy()
    assert quantile(values, part) == pytest.approx(np.quantile(values, part), rel=1e-12)
    assert (values == given).all()


def test_robust_std_is_that_of_the_gaussian_core():
    values = np.random.default_rng(1).normal(5, 3, 100_000)
    values[:1000] = 1e6
    # 1 % of outliers raise it by 1.3 %; 100,000 values know it to 0.4 %.
    assert robust_std(values) == pytest.approx(3, rel=0.03)


def test_robust_std_ignores_what_is_not_finite():
    assert robust_std([np.nan, 1, 2, np.inf, 3]) == pytest.approx(1.4826, rel=1e-4)


def test_nothing_has_no_robust_std():
    assert np.isnan(median(np.zeros(0)))
    assert np.isnan(robust_std([]))
    assert np.isnan(robust_std([np.nan]))


def test_typical_variance_is_that_of_the_sky():
    rng = np.random.default_rng(1)
    variance = rng.normal(100, 5, (500, 500)).astype(np.float32)
    variance[:50] += 1e4
    variance[60, :4] = np.nan, np.inf, 0, -1
    found = typical_variance(variance, np.ones((500, 500), bool))
    assert found == pytest.approx(100, rel=0.005)


def test_typical_variance_of_a_constant_plane_is_the_constant():
    variance = np.full((50, 50), 7, np.float32)
    variance[:5] = 1e4
    assert typical_variance(variance, np.ones((50, 50), bool)) == 7


def test_typical_variance_leaves_out_what_does_not_count():
    variance = np.full((9, 9), 7, np.float32)
    usable = np.zeros((9, 9), bool)
    assert np.isnan(typical_variance(variance, usable))
    variance[0, 0], usable[0, 0] = 3, True
    assert typical_variance(variance, usable) == 3
