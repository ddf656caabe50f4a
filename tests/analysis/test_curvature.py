"""What the curvature of a function of averages adds, against what it is by hand."""

import numpy as np
import pytest
import torch

from flowlat.analysis.curvature import beyond_linear, block_means
from flowlat.analysis.estimates import chain_estimate
from flowlat.analysis.stretches.chains import Chains
from flowlat.observables import Binder, Observable


class Square(Observable):
    """<a>^2."""

    def measure(self, configurations):
        raise NotImplementedError

    def derive(self, means):
        return means**2


def test_of_a_square_it_is_known():
    """f = m^2, m of variance v: bias v, and 2 v^2 of (m - <m>)^2; v^2 + 2 v^2 in all.

    v is known from 200 blocks to a tenth, its square to a fifth; the variance of 32 squares to
    sqrt(14 / 32) = 0.66, their mean to 1 / 4. The mean of 100 calls, whose displacements are the
    same: within a factor of 2.5 either way, and in proportion to the square of v."""
    rng = np.random.default_rng()
    found = []
    for _ in range(20):
        chain = rng.normal(size=(2000, 1)) + 3.0
        centred = chain - chain.mean(0)
        value = np.array([chain.mean() ** 2])
        args = Square(), chain.mean(0), value
        found.append(beyond_linear(*args, [centred])[0])
        again = beyond_linear(*args, [2 * centred])[0]
        assert again == pytest.approx(16 * found[-1], rel=1e-6)
    exactly = 3 / 2000**2
    assert exactly / 2.5 < np.mean(found) < 2.5 * exactly


def test_it_is_small_where_there_are_many_measurements():
    """Of independent ones by 1 / N beside the linear part: 20,000 against 200."""
    rng, shares = np.random.default_rng(), []
    for n in (200, 20_000):
        m = rng.normal(size=n)
        chain = np.stack([m**2, m**4], 1)
        means = chain.mean(0)
        value = Binder().derive(torch.as_tensor(means)).numpy()
        more = beyond_linear(Binder(), means, value, [chain - means])
        shares.append(more / chain_estimate(Binder(), [chain], "binder").error ** 2)
    assert 0 < shares[1] < 0.02
    assert shares[0] > 5 * shares[1]


def test_an_average_has_none_and_a_few_blocks_say_nothing():
    chain = np.random.default_rng(1).normal(size=(7, 1))
    assert not beyond_linear(Square(), chain.mean(0), chain.mean(0) ** 2, [chain]).any()
    assert len(block_means(Chains.of([np.ones((1000, 2)), np.ones((500, 2))]))) > 100
