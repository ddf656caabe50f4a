"""Resampling of a weighted population."""

import math

import torch
from torch import Tensor


def effective_fraction(log_w: Tensor) -> float:
    """ESS of a population per particle, (sum w)^2 / (n sum w^2)."""
    return math.exp(2 * log_mean(log_w) - log_mean(2 * log_w))


def log_mean(log_w: Tensor) -> float:
    """log((1/n) sum w)."""
    return torch.logsumexp(log_w, 0).item() - math.log(len(log_w))


def systematic(log_w: Tensor, generator: torch.Generator) -> Tensor:
    """Indices ``(n,)`` of the survivors: particle i is taken n w_i / sum w times, on average.

    And never off that by one or more: the points (u + j) / n, with one uniform u, are looked up in
    the distribution function of the weights. Kitagawa, J. Comput. Graph. Stat. 5 (1996) 1.
    """
    n = len(log_w)
    edges = torch.softmax(log_w, 0).cumsum(0)
    u = torch.rand((), generator=generator, dtype=log_w.dtype, device=log_w.device)
    points = (u + torch.arange(n, dtype=log_w.dtype, device=log_w.device)) / n
    # the last edge is 1 but for rounding
    return torch.searchsorted(edges, points, right=True).clamp(max=n - 1)
