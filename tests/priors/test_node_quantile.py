"""Inverses of distribution functions that are known."""

import math

import numpy as np
import pytest
import torch

from flowlat.priors.node_quantile import node_quantile


def nodes_and_spacing(fineness):
    """From -9 to 9 standard deviations of a unit Gaussian."""
    nodes = torch.arange(-9.0, 9.0 + fineness / 2, fineness, dtype=torch.float64)
    return nodes, fineness


def gaussian(nodes, mean):
    return torch.exp(-0.5 * (nodes - mean.unsqueeze(1)) ** 2)


@pytest.mark.parametrize(("fineness", "limit"), [(0.2, 1e-9), (0.3, 1e-7), (0.5, 1e-4)])
def test_a_gaussian_at_any_mean(fineness, limit):
    """F(z) = u to (spacing / sigma)^13 or so."""
    nodes, spacing = nodes_and_spacing(fineness)
    u = torch.linspace(1e-4, 1 - 1e-4, 4001, dtype=torch.float64)
    mean = torch.linspace(-1, 1, 4001, dtype=torch.float64)
    z = node_quantile(7.0 * gaussian(nodes, mean), nodes, spacing, u)
    assert (torch.special.ndtr(z - mean) - u).abs().max() < limit


def test_into_the_tails():
    nodes, spacing = nodes_and_spacing(0.2)
    u = torch.tensor([1e-12, 1e-9, 1e-6, 1 - 1e-9], dtype=torch.float64)
    z = node_quantile(gaussian(nodes, torch.zeros(4)), nodes, spacing, u)
    expected = torch.special.ndtri(u)
    torch.testing.assert_close(z, expected, rtol=0, atol=1e-4)


def test_two_wells_with_a_gap_between_their_nodes():
    """A share of 1/4 left of the gap: u below is there, u above on the right."""
    nodes, spacing = nodes_and_spacing(0.2)
    both = torch.cat([nodes - 50, nodes + 50])
    density = torch.cat([gaussian(nodes, torch.zeros(3)), 3 * gaussian(nodes, torch.zeros(3))], 1)
    u = torch.tensor([0.125, 0.2499, 0.625], dtype=torch.float64)
    z = node_quantile(density, both, spacing, u)
    expected = torch.special.ndtri(torch.tensor([0.5, 0.2499 * 4, 0.5], dtype=torch.float64))
    torch.testing.assert_close(z, expected + torch.tensor([-50.0, -50.0, 50.0]), rtol=0, atol=1e-7)


def test_it_is_continuous_and_rises():
    """Also where the nearest node changes, and with nodes that are too coarse."""
    for fineness, least in ((0.2, 0.999), (0.5, 0.9)):
        nodes, spacing = nodes_and_spacing(fineness)
        u = torch.linspace(0.2, 0.8, 20_001, dtype=torch.float64)
        z = node_quantile(gaussian(nodes, torch.zeros(len(u))), nodes, spacing, u)
        expected = np.diff(u.numpy()) * math.sqrt(2 * math.pi)
        steps = np.diff(z.numpy()) / (expected * np.exp(0.5 * z.numpy()[1:] ** 2))
        assert least < steps.min() <= steps.max() < 2 - least
