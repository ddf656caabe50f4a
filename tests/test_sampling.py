"""The chain, its statistics and the random streams."""

import logging
import math

import numpy as np
import pytest
import torch

from flowlat.actions import Phi4
from flowlat.evaluation import proposals
from flowlat.metrics import LogWeights, acceptance, ess, log_z, quality
from flowlat.rng import Stream, generator
from flowlat.samplers import chain_index, independence_chain, longest_rejection_run
from flowlat.statistics import gamma_method
from tests.helpers import moved_flow


def test_ess_and_log_z_are_their_definitions():
    log_w = torch.randn(500, dtype=torch.float64)
    w = log_w.exp()
    assert ess(log_w) == pytest.approx((w.sum() ** 2 / (500 * (w**2).sum())).item())
    value, error = log_z(log_w)
    assert value == pytest.approx(w.mean().log().item())
    expected = (w.std(correction=1) / w.mean() / math.sqrt(500)).item()
    assert error == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("shift", [1e4, -1e4])
def test_a_constant_in_the_weights_changes_only_log_z(shift):
    log_w = torch.randn(100, dtype=torch.float64)
    assert ess(log_w + shift) == pytest.approx(ess(log_w))
    assert log_z(log_w + shift)[0] == pytest.approx(log_z(log_w)[0] + shift)


def test_chain_is_the_plain_loop():
    log_w = 2 * torch.randn(1000, dtype=torch.float64)
    index, accepted = independence_chain(log_w, torch.Generator().manual_seed(5))
    u = torch.rand(1000, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    current = 0
    for i in range(1, 1000):
        take = u[i] < math.exp(min(0.0, (log_w[i] - log_w[current]).item()))
        assert accepted[i] == take
        current = i if take else current
        assert index[i] == current
    assert torch.equal(chain_index(accepted), index)


def test_chain_has_the_target_as_its_stationary_distribution():
    """Four states proposed uniformly; chi^2 with 3 degrees of freedom, p = 1e-6."""
    target = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    n, thin = 400_000, 20
    states = torch.randint(4, (n,), generator=torch.Generator().manual_seed(1))
    index, _ = independence_chain(target[states].log(), torch.Generator().manual_seed(2))
    # correlations fall as (1 - 1 / w_max)^t = 0.375^t: every 20th step is as good as independent
    counts = torch.bincount(states[index][::thin], minlength=4).double()
    expected = target * counts.sum()
    assert (((counts - expected) ** 2 / expected).sum()) < 30.7


def test_rejections():
    log_w = torch.tensor([0.0, 100.0, *[-1000.0] * 7, 100.0])
    index, accepted = independence_chain(log_w)
    assert index.tolist() == [0, 1, 1, 1, 1, 1, 1, 1, 1, 9]
    assert longest_rejection_run(accepted) == 7
    assert acceptance(accepted) == pytest.approx(2 / 9)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_mean_nothing_are_refused(bad):
    with pytest.raises(ValueError, match=r"NaN or \+inf"):
        quality(torch.tensor([0.0, bad]))
    with pytest.raises(ValueError, match="at least one"):
        independence_chain(torch.empty(0))


def test_log_weights_metric_gathers_everything():
    metric = LogWeights()
    for part in torch.arange(10.0).split(3):
        metric.update(part)
    assert torch.equal(metric.compute(), torch.arange(10.0, dtype=torch.float64))


def test_ranks_share_the_same_proposals():
    flow = moved_flow("lattice.shape=[4,4]").float()
    def draw(rank, world):
        batches = proposals(flow, Phi4(1, 1), 250, 100, 3, Stream.FINAL, 0, rank, world)
        return [batch.log_weight for batch in batches]

    alone = draw(0, 1)
    assert [len(b) for b in alone] == [100, 100, 50]
    first, second = draw(0, 2), draw(1, 2)
    for a, b in zip(alone, [first[0], second[0], first[1]], strict=True):
        assert torch.equal(a, b)


def test_streams_are_functions_of_their_key():
    def numbers(*key):
        return tuple(torch.rand(2, generator=generator(*key)).tolist())

    keys = [(s, stream, step) for s in (0, 1) for stream in Stream for step in (0, 1)]
    assert len({numbers(*key) for key in keys}) == len(keys)
    assert numbers(0, Stream.TRAINING, 7) == numbers(0, Stream.TRAINING, 7)


def test_gamma_method_on_white_noise_and_on_a_known_process():
    """AR(1) with coefficient a: tau_int = (1 + a) / (2 (1 - a)); within 6 of its own errors."""
    rng = np.random.default_rng(1)
    noise = rng.normal(size=100_000)
    white = gamma_method(noise, "white")
    assert white.tau_int == pytest.approx(0.5, abs=0.05)
    assert white.error == pytest.approx(1 / math.sqrt(100_000), rel=0.1)
    chain = np.empty_like(noise)
    chain[0] = noise[0]
    for i in range(1, len(noise)):
        chain[i] = 0.8 * chain[i - 1] + noise[i]
    correlated = gamma_method(chain, "AR(1)")
    assert correlated.tau_int == pytest.approx(4.5, rel=0.2)
    assert abs(correlated.value) < 6 * correlated.error


def test_gamma_method_knows_when_it_knows_nothing(caplog):
    with caplog.at_level(logging.WARNING):
        assert math.isnan(gamma_method(np.ones(1000), "stuck").error)
        assert math.isnan(gamma_method(np.arange(10.0), "short").error)
    assert "never moved" in caplog.text
    assert "10 measurements are too few" in caplog.text
    with pytest.raises(ValueError, match="phi2: the chain holds NaN"):
        gamma_method(np.array([1.0, math.nan] * 100), "phi2")
