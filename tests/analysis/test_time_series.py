"""Arrays of anybody's: the Gamma method, however they are stacked."""

import numpy as np
import pytest

from flowlat.analysis.gamma_method import gamma_method
from flowlat.analysis.time_series import time_series

SERIES = np.random.default_rng(0).normal(size=(200, 2)).cumsum(0) * 0.1


def test_it_is_the_gamma_method():
    a, b = SERIES.T
    assert time_series(a) == gamma_method([a], "a")
    assert time_series(a.tolist()) == gamma_method([a], "a")
    assert time_series([a, b[:150]]) == gamma_method([a, b[:150]], "a")
    columns = time_series(SERIES)
    assert isinstance(columns, list)
    np.testing.assert_allclose(columns, [gamma_method([c], "c") for c in (a, b)])
    both = time_series((SERIES, SERIES[:100]))
    np.testing.assert_allclose(both, [gamma_method([c, c[:100]], "c") for c in (a, b)])


@pytest.mark.parametrize(
    ("series", "text"),
    [
        ([], "no measurements"),
        (3.0, "no measurements"),
        (np.zeros((5, 2, 2)), r"arrays of \(5, 2, 2\), not \(steps,\) or \(steps, n\)"),
        ([np.zeros((5, 2)), np.zeros((5, 3))], "of one n"),
        ([SERIES[:, 0], np.array([])], "no measurements"),
        (np.array([1.0, np.nan] * 50), "NaN or infinity"),
        (np.ones(5) * 1j, "complex128, not real numbers"),
        (["a", "b"], "not real numbers"),
    ],
)
def test_what_is_no_series(series, text):
    with pytest.raises(ValueError, match=text):
        time_series(series, "m")
