"""Which windows there are, what they say together, and what is said of those that cannot be."""

import math

import numpy as np
import pytest
from scipy import stats

from flowlat.analysis.mass.windows import (
    Fit,
    averaged,
    p_value_of,
    require_window,
    windows,
)
from flowlat.utils.errors import ConfigError


@pytest.mark.parametrize(
    ("window", "what"),
    [
        ([1, 5], "t goes from 0 to 4, half the period of 8"),
        ([-1, 3], "t goes from 0 to 4"),
        ([5, 9], "t goes from 0 to 4"),
        ([2, 2], "need two values of t, t_min < t_max"),
        ([3, 1], "need two values of t, t_min < t_max"),
    ],
)
def test_a_window_that_cannot_be_is_one_line(window, what):
    with pytest.raises(ConfigError) as error:
        require_window(window, 8, "mass_window")
    message = str(error.value)
    assert message.startswith(f"mass_window=[{window[0]},{window[1]}]: ")
    assert what in message
    assert "\n" not in message


def test_windows_that_can_be():
    for window in (None, [0, 1], [0, 4], [3, 4]):
        require_window(window, 8, "mass_window")


def test_all_windows_end_where_the_signal_does():
    values, errors = np.array([9.0, 5.0, 3.0, 2.0, 1.0, 0.9]), np.full(6, 0.1)
    assert windows(values, errors, None) == [(0, 5), (1, 5), (2, 5), (3, 5)]
    for nothing in (0.15, -2.0, math.nan):
        values[4] = nothing  # within two errors of zero
        assert windows(values, errors, None) == [(0, 3), (1, 3)]
    errors[2] = math.nan
    assert windows(values, errors, None) == []
    assert windows(values, errors, [3, 5]) == [(3, 5)]
    assert windows(values, errors, [2, 5]) == []
    assert windows(np.array([2.0, 1.0]), np.full(2, 0.1), None) == [(0, 1)]
    assert len(windows(np.ones(500), np.full(500, 0.1), None)) < 50


def fit(t_min, value, error, chi2):
    return Fit(t_min, 5, value, error, 1.0, chi2, 4 - t_min, 0.5)


def test_the_average_by_hand():
    """Weights exp(-chi2 / 2 - t_min) of t = 1 and 2: exp(-1.5 - 1) and exp(-0.25 - 2)."""
    found = averaged([fit(1, 0.7, 0.01, 3.0), fit(2, 0.8, 0.02, 0.5)], 5)
    w = 1 / (1 + math.exp(0.25))
    mean = 0.7 * w + 0.8 * (1 - w)
    variance = w * (0.01**2 + (0.7 - mean) ** 2) + (1 - w) * (0.02**2 + (0.8 - mean) ** 2)
    assert (found.value, found.error) == pytest.approx((mean, math.sqrt(variance)))
    assert [f.weight for f in found.fits] == pytest.approx([w, 1 - w])
    assert found.best.t_min == 2


def test_fits_without_a_mass_or_an_error_do_not_count():
    alone = averaged([fit(1, 0.7, math.nan, 0.0), fit(2, 0.8, 0.02, 50.0)], 5)
    assert (alone.value, alone.error) == (0.8, 0.02)
    assert alone.best.t_min == 2
    nothing = averaged([fit(1, math.nan, math.nan, math.nan)], 5)
    assert math.isnan(nothing.value)
    assert nothing.best.t_min == 1


def test_the_p_value_is_that_of_hotelling():
    """Of 20 numbers of 5 dimensions T^2 has it by construction: uniform, p > 1e-5 by Kolmogorov and
    Smirnov; that of chi^2 with 5 degrees of freedom is not. Many blocks make them the same."""
    rng, found, naive = np.random.default_rng(), [], []
    for _ in range(500):
        x = rng.normal(size=(20, 5))
        t2 = float(x.mean(0) @ np.linalg.inv(np.cov(x.T) / 20) @ x.mean(0))
        found.append(p_value_of(t2, 5, 20))
        naive.append(stats.chi2.sf(t2, 5))
    assert stats.kstest(found, "uniform").pvalue > 1e-5
    assert stats.kstest(naive, "uniform").pvalue < 1e-5
    assert p_value_of(7.0, 5, 10**7) == pytest.approx(stats.chi2.sf(7.0, 5), rel=1e-4)
    assert math.isnan(p_value_of(1.0, 0, 100))
    assert math.isnan(p_value_of(1.0, 10, 10))
