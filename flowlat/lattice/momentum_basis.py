"""Chebyshev polynomials of the lattice momentum."""

import math

import torch
from torch import Tensor

#: momenta squared below this are one to the basis; correlation lengths up to about 5 are resolved
INFRARED = 0.05


def momentum_basis(khat2: Tensor, d: int, n: int) -> Tensor:
    """T_0 ... T_(n-1) at x = 2 log(1 + khat^2/mu^2) / log(1 + 4d/mu^2) - 1; ``(*khat2.shape, n)``.

    mu^2 = 0.05 in lattice units. The logarithm gives the small momenta, which matter most near a
    critical point, their share of the interval.
    """
    return chebyshev(2 * torch.log1p(khat2 / INFRARED) / math.log1p(4 * d / INFRARED) - 1, n)


def chebyshev(x: Tensor, n: int) -> Tensor:
    """The Chebyshev polynomials T_0 ... T_(n-1) at -1 <= x <= 1; ``(*x.shape, n)``."""
    orders = torch.arange(n, dtype=x.dtype, device=x.device)
    return torch.cos(orders * torch.arccos(x.clamp(-1, 1)).unsqueeze(-1))
