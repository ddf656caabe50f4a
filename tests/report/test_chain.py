"""Runs of rejections, and the error of an autocorrelation function."""

import numpy as np
import pytest

from flowlat.report.ensemble.chain import rejection_runs, rho_error


def test_rejection_runs_do_not_cross_replicas():
    steps = np.array([[1, 0], [0, 1], [0, 1], [1, 0], [0, 0]], dtype=bool)
    assert sorted(rejection_runs(steps)) == [1, 1, 2, 2]
    assert len(rejection_runs(np.ones((4, 3), dtype=bool))) == 0


def test_all_is_rejected():
    assert rejection_runs(np.zeros((5, 2), dtype=bool)) == [5, 5]


def test_error_of_rho():
    """White noise: 1/sqrt(n). An AR(1) process of rho = a^t: 2 terms of Bartlett's formula."""
    white = np.zeros(500)
    white[0] = 1
    assert rho_error(white, 3, 10_000) == pytest.approx(0.01)
    a, t, n = 0.8, 4, 10_000
    variance = ((1 + a**2) * (1 - a ** (2 * t)) / (1 - a**2) - 2 * t * a ** (2 * t)) / n
    assert rho_error(a ** np.arange(500), t, n) == pytest.approx(variance**0.5, rel=1e-3)
