"""A mode that a flow has lost is what its mirror image adds to log Z."""

import math

import pytest
import torch
from torch import nn

from flowlat.flows.mirror import mirrored_log_z
from tests.support.helpers import moved_flow, overrides


class Peaks(nn.Module):
    """Sites that are normal around +mean with probability ``share``, all of them, or -mean."""

    def __init__(self, mean, share):
        super().__init__()
        self.mean, self.share = mean, share

    def sample(self, n, generator):
        sign = 1 - 2 * (torch.rand(n, 1, generator=generator) >= self.share).double()
        phi = sign * self.mean + torch.randn(n, 4, generator=generator, dtype=torch.float64)
        return phi, self.log_prob(phi)

    def log_prob(self, phi):
        peaks = [-0.5 * (phi - sign * self.mean).square().sum(1) for sign in (1, -1)]
        weights = [math.log(p) if p else -math.inf for p in (self.share, 1 - self.share)]
        one, other = (peak + weight for peak, weight in zip(peaks, weights, strict=True))
        return torch.logaddexp(one, other) - 2 * math.log(2 * math.pi)


def action(mean):
    """Of which both peaks have the same weight, and log Z is 3."""
    both = Peaks(mean, 0.5)
    return lambda phi: -both.log_prob(phi) - 3.0


@pytest.mark.parametrize(
    ("share", "short"), [(1.0, math.log(2)), (0.0, math.log(2)), (0.5, 0.0), (0.8, 0.0)]
)
def test_what_one_of_two_peaks_misses(share, short):
    """Peaks ten apart; beyond 5 errors with p = 6e-7 (of 0.8: with weights of two values)."""
    generator = torch.Generator().manual_seed(1)
    found = mirrored_log_z(Peaks(5.0, share), action(5.0), generator, n=1024)
    assert abs(found.value - short) <= 5 * found.error + 1e-9
    assert found.error < 0.05


def test_a_symmetric_phase_seen_from_one_side():
    """Overlapping peaks: what one of them misses is found by reweighting, whose tail is heavy."""
    generator = torch.Generator().manual_seed(2)
    found = mirrored_log_z(Peaks(0.3, 1.0), action(0.3), generator, n=4096)
    assert abs(found.value) < 5 * found.error


@pytest.mark.parametrize("symmetrize", [True, False])
def test_a_flow_that_is_even(symmetrize):
    equivariant = () if symmetrize else ("arch.equivariant=true",)
    flow = moved_flow(*overrides(2, "arch=conv", f"symmetrize={symmetrize}", *equivariant))
    found = mirrored_log_z(flow, lambda phi: phi.flatten(1).square().sum(1), torch.Generator(), 64)
    assert abs(found.value) < 1e-4
