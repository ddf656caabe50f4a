"""The covariance of a fit: that of the data, smoothed where there are few blocks for it."""

import numpy as np
import pytest

from flowlat.analysis.mass.covariance import (
    chain_blocks,
    inverse_covariance,
    weighted_blocks,
)
from tests.support.decay import Given, chain, cosh


def test_many_blocks_give_the_inverse_of_what_they_have():
    """16 and more blocks for four values of t."""
    blocks = np.random.default_rng(0).normal(size=(16, 4)) @ np.random.default_rng(1).normal(
        size=(4, 4)
    )
    errors = np.array([1.0, 2.0, 0.1, 3.0])
    covariance = np.corrcoef(blocks.T) * np.outer(errors, errors)
    assert inverse_covariance(blocks, errors) == pytest.approx(np.linalg.inv(covariance), rel=1e-6)


@pytest.mark.parametrize("n", [4, 9, 15])
def test_few_blocks_keep_their_largest_eigenvalues(n):
    """The others, most of them zero for n < m, become one, and the trace stays."""
    m = 12
    blocks = np.random.default_rng(2).normal(size=(n, m))
    found = np.linalg.eigvalsh(np.linalg.inv(inverse_covariance(blocks, np.ones(m))))
    keep = int(n**0.5)
    assert found.sum() == pytest.approx(m)
    assert found[: m - keep - 1].min() > 0.01
    before = np.linalg.eigvalsh(np.corrcoef(blocks.T))
    scale = found[-1] / before[-1]
    assert found[-keep:] == pytest.approx(scale * before[-keep:])
    assert found[0] == pytest.approx(scale * before[: m - keep].mean())


def test_values_that_are_the_same_have_an_inverse():
    """Two columns that are one: no exception, and no infinity."""
    blocks = np.repeat(np.random.default_rng(3).normal(size=(50, 1)), 2, axis=1)
    assert np.isfinite(inverse_covariance(blocks, np.ones(2))).all()


def test_blocks_of_chains_and_of_weights_have_the_correlation_of_the_data():
    """0.9 between neighbours; of 100 blocks and more known to 0.02, and this allows five times
    that."""
    rng, c = np.random.default_rng(), cosh(0.7, 8)
    slow = chain(rng, c, 5.0, 20_000)
    for blocks in (
        chain_blocks(Given(), [slow[:9000], slow[9000:]]),
        weighted_blocks(Given(), chain(rng, c, 0.5, 5000), 0.5 * rng.normal(size=5000), 1),
    ):
        assert 90 <= len(blocks) <= 200
        found = np.corrcoef(blocks.T)
        assert np.diag(found, 1) == pytest.approx(0.9, abs=0.1)
        assert np.diag(found, 2) == pytest.approx(0.81, abs=0.18)
