"""What is summed stretch by stretch against the arrays themselves."""

import numpy as np
import pytest
from scipy.signal import lfilter

from flowlat.analysis.gamma_method import autocovariance, estimate, settled
from flowlat.analysis.jackknife import block_starts, block_sums
from flowlat.analysis.stretches import chains as module
from flowlat.analysis.stretches.chains import Chains


@pytest.fixture(params=[14, 2**18])
def arrays(request, monkeypatch):
    """Three replicas of different lengths, in stretches of two or three steps, or of all."""
    monkeypatch.setattr(module, "NUMBERS", request.param)
    rng = np.random.default_rng()
    return [rng.normal(size=(steps, 2)).cumsum(0) for steps in (50, 49, 31)]


def test_means_and_parts(arrays):
    chains = Chains.of(arrays)
    assert (chains.rows, chains.steps, chains.shape) == (130, 50, (2,))
    np.testing.assert_allclose(chains.mean(), np.concatenate(arrays).mean(0))
    squares = chains.map(np.square).part(10, 40)
    assert squares.lengths.tolist() == [30, 30, 21]
    np.testing.assert_allclose(
        squares.mean(), np.square(np.concatenate([a[10:40] for a in arrays])).mean(0)
    )


@pytest.mark.parametrize("size", [1, 5, 31])
def test_means_of_whole_blocks(arrays, size):
    expected = [a[i : i + size].mean(0) for a in arrays for i in range(0, len(a) - size + 1, size)]
    np.testing.assert_allclose(Chains.of(arrays).block_means(size), expected)


def test_weighted_sums(arrays):
    (values, *_), weight = arrays, np.random.default_rng().random(50)
    starts = block_starts(50, 5)
    columns = np.column_stack([weight, weight[:, None] * values])
    found = block_sums(Chains.of([values]), weight, 5)
    np.testing.assert_allclose(found, np.add.reduceat(columns, starts), atol=1e-12)


def test_the_autocovariance_by_loops(arrays):
    mean = np.concatenate(arrays).mean(0)
    expected = np.zeros((2, 25))
    for t in range(25):
        pairs = [(a[: len(a) - t] - mean) * (a[t:] - mean) for a in arrays]
        expected[:, t] = np.concatenate(pairs).mean(0)
    np.testing.assert_allclose(autocovariance(arrays), expected, atol=1e-10)


def test_as_far_as_windows_need_it():
    """White noise has a window of a few steps, an AR(1) with tau_int = 10,000 one of many more."""
    rng = np.random.default_rng()
    white = Chains.of([rng.normal(size=(100_000, 1))])
    slow = Chains.of([lfilter([1], [1, -0.9999], rng.normal(size=(100_000, 1)), axis=0)])
    for chains in (white, slow):
        (gamma,), (whole,) = settled(chains, chains.mean()), autocovariance(chains)
        assert (len(gamma) == 2**11) == (chains is white)
        np.testing.assert_allclose(gamma, whole[: len(gamma)], rtol=1e-9, atol=1e-9 * whole[0])
        assert estimate(0.0, gamma, chains.rows) == pytest.approx(
            estimate(0.0, whole, chains.rows), rel=1e-9
        )
