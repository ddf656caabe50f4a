"""Starts of independence chains: by weight, of all rows so far, as soon as there are enough."""

import math

import pytest
import torch

from flowlat.samplers.independence.starts import FEWEST, PER_REPLICA, gather, no_starts


def gathered(log_w, replicas, cuts, generator):
    """After blocks that end at ``cuts``, and at the end."""
    starts = no_starts(replicas)
    for begin, end in zip([0, *cuts], [*cuts, len(log_w)], strict=True):
        if not starts.first:
            numbers = torch.rand((2, replicas), generator=generator, dtype=torch.float64)
            starts = gather(starts, log_w[begin:end], numbers)
    return starts


@pytest.mark.parametrize("cuts", [[], [2], [4, 6]])
def test_rows_are_chosen_by_their_weights(cuts):
    """2,000 draws of one of eight rows: chi^2 of 6 degrees of freedom below 42, p = 2e-7."""
    weight = torch.tensor([1.0, 3, 0, 2, 8, 1, 2, 3], dtype=torch.float64)
    log_w = weight.log() - 1e4
    draws = [gathered(log_w, 2, cuts, None) for _ in range(1000)]
    rows = torch.cat([starts.row for starts in draws])
    expected = 2000 * weight / weight.sum()
    counts = torch.bincount(rows, minlength=8)
    assert counts[2] == 0
    assert (((counts - expected) ** 2 / expected)[weight > 0]).sum() < 42
    assert all(torch.equal(found.start_log_weight, log_w[found.row]) for found in draws)


@pytest.mark.parametrize(("replicas", "width"), [(1, 0.1), (1, 1.5), (5, 0.1), (5, 1.0)])
def test_when_there_are_enough(replicas, width):
    """At the first whole step at which the effective samples reach what they have to."""
    log_w = width * torch.randn(1000, dtype=torch.float64)
    enough = 0
    for n in range(replicas, 1001, replicas):
        weight = log_w[:n].exp()
        if weight.sum() ** 2 / (weight**2).sum() >= max(FEWEST, PER_REPLICA * replicas):
            enough = n
            break
    for cuts in ([], [5, 10], [15, 500]):
        starts = gathered(log_w, replicas, cuts, None)
        assert int(starts.first) == enough
        assert (starts.row < enough).all()


def test_never_enough():
    for log_w in (torch.arange(100.0), torch.full((100,), -math.inf)):
        starts = gathered(log_w, 10, [50], None)
        assert not starts.first
        assert starts.gathered == 100
