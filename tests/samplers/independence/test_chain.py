import math

import pytest
import torch

from flowlat.samplers import chain_index, independence_chain, longest_rejection_run
from flowlat.samplers.independence.chain import decide, uniform


@pytest.mark.parametrize("offset", [0.0, 1e4, -1e4])
def test_chain_is_the_plain_loop(offset):
    """Whatever constant the weights have in common, to the rounding of log w."""
    log_w = 2 * torch.randn(1000, dtype=torch.float64)
    index, accepted = independence_chain(log_w + offset, torch.Generator().manual_seed(5))
    u = torch.rand(1000, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    current = 0
    assert accepted[0]
    for i in range(1, 1000):
        take = u[i] < math.exp(min(0.0, (log_w[i] - log_w[current]).item()))
        assert accepted[i] == take
        current = i if take else current
        assert index[i] == current
    assert torch.equal(chain_index(accepted), index)
    assert 0.05 < accepted.double().mean() < 0.5


def test_target_is_the_stationary_distribution():
    """Four states proposed unevenly; chi^2 of 3 degrees of freedom below 30.7, p = 1e-6.

    A step is taken with probability 0.36 at least, whatever the state, so that of 30 steps apart
    two states are independent but for 0.64^30 = 2e-6.
    """
    target = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    proposal = torch.tensor([0.4, 0.2, 0.2, 0.2], dtype=torch.float64)
    n = 300_000
    states = proposal.multinomial(n, True, generator=torch.Generator().manual_seed(1))
    log_w = (target / proposal).log()[states]
    index, _ = independence_chain(log_w, torch.Generator().manual_seed(2))
    counts = torch.bincount(states[index][::30], minlength=4).double()
    expected = target * counts.sum()
    assert ((counts - expected) ** 2 / expected).sum() < 30.7


def test_detailed_balance_of_two_states():
    """pi_a P(a -> b) = pi_b P(b -> a) in the frequencies of a long chain, five sigma, p = 6e-7."""
    n, ratio = 200_000, 3.0  # w_b / w_a, proposed evenly: a -> b always, b -> a once in three
    states = torch.randint(2, (n,), generator=torch.Generator().manual_seed(3))
    log_w = math.log(ratio) * states.double()
    index, _ = independence_chain(log_w, torch.Generator().manual_seed(4))
    walk = states[index]
    for state, leaving in ((0, 0.5), (1, 0.5 / ratio)):
        at = walk[:-1] == state
        moved = (walk[1:] != walk[:-1])[at].double().mean().item()
        assert abs(moved - leaving) < 5 * math.sqrt(leaving * (1 - leaving) / at.sum().item())


def test_rejections_repeat_the_previous_proposal():
    log_w = torch.tensor([0.0, 100.0, *[-1000.0] * 7, 100.0])
    index, accepted = independence_chain(log_w)
    assert index.tolist() == [0, 1, 1, 1, 1, 1, 1, 1, 1, 9]
    assert longest_rejection_run(accepted) == 7


def test_weights_of_zero_are_never_taken():
    log_w = torch.tensor([0.0, -torch.inf, -torch.inf, 0.0])
    _, accepted = independence_chain(log_w)
    assert accepted.tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("flags", "longest"), [([1], 0), ([1, 1], 0), ([1, 0], 1), ([1, 0, 0, 1, 0], 2), ([1, 0, 0], 2)]
)
def test_longest_rejection_run(flags, longest):
    assert longest_rejection_run(torch.tensor(flags, dtype=torch.bool)) == longest


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_mean_nothing_are_refused(bad):
    with pytest.raises(ValueError, match=r"NaN or \+inf"):
        independence_chain(torch.tensor([0.0, bad]))
    with pytest.raises(ValueError, match="at least one"):
        independence_chain(torch.empty(0))


def by_hand(log_w, u, replicas):
    """Accept flags and the proposal at which its chain stands after each: chain by chain."""
    accepted, index = [], []
    at = [None] * replicas
    for i, (weight, number) in enumerate(zip(log_w, u, strict=True)):
        chain = i % replicas
        before = at[chain]
        take = before is None or number < math.exp(min(0.0, weight - log_w[before]))
        at[chain] = i if take else before
        accepted.append(take)
        index.append(at[chain])
    return accepted, index


@pytest.mark.parametrize("replicas", [1, 2, 5])
def test_replicas_share_out_the_proposals(replicas):
    log_w = 2 * torch.randn(1000, dtype=torch.float64)
    u = torch.rand(1000, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    expected, where = by_hand(log_w.tolist(), u.tolist(), replicas)
    accepted, current = decide(
        log_w, None, replicas, uniform(1000, torch.Generator().manual_seed(5))
    )
    index = chain_index(accepted, replicas)
    assert accepted.tolist() == expected
    assert index.tolist() == where
    assert torch.equal(current, log_w[index[-replicas:]])
    runs = [longest_rejection_run(accepted[r::replicas]) for r in range(replicas)]
    assert longest_rejection_run(accepted, replicas) == max(runs) > 2


@pytest.mark.parametrize("replicas", [1, 2, 5])
def test_a_chain_goes_on_from_its_state(replicas):
    """In two halves as in one go, given the same uniform numbers; and in float64 throughout."""
    log_w = 2 * torch.randn(1000, dtype=torch.float64)
    whole, _ = decide(log_w, None, replicas, uniform(1000, torch.Generator().manual_seed(5)))
    generator = torch.Generator().manual_seed(5)
    first, current = decide(log_w[:400], None, replicas, uniform(400, generator))
    second, _ = decide(log_w[400:], current, replicas, uniform(600, generator))
    assert torch.equal(torch.cat([first, second]), whole)


def test_a_proposal_of_no_weight_is_left_again():
    log_w = torch.tensor([-torch.inf, -torch.inf, 0.0, -torch.inf])
    accepted, current = decide(log_w, None, 1, uniform(4, None))
    assert accepted.tolist() == [True, False, True, False]
    assert current.item() == 0
