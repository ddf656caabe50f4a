"""Periodic lattices: shape, parity, momenta, sums over sites."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from flowlat.utils.limits import Shape

Parity = Literal["even", "odd"]


class Lattice:
    """A periodic hypercubic lattice of shape ``(L_1, ..., L_d)`` with V sites.

    Fields on it are ``(batch, *shape)``; d is read from the shape, never typed.
    """

    def __init__(self, shape: Shape):
        self.shape = tuple(int(side) for side in shape)
        self.d = len(self.shape)
        self.volume = math.prod(self.shape)

    def __repr__(self) -> str:
        return f"Lattice({list(self.shape)})"

    def parity_mask(self, parity: Parity) -> Tensor:
        """Boolean mask ``(*shape)`` of the sites whose coordinates sum to an even or odd number."""
        total = outer_sum([torch.arange(side) for side in self.shape])
        return total % 2 == (0 if parity == "even" else 1)

    def khat2(self) -> Tensor:
        """Lattice momenta squared, khat^2 = sum_mu 4 sin^2(k_mu / 2), float64 ``(*shape)``."""
        momenta = [math.pi * torch.arange(n, dtype=torch.float64) / n for n in self.shape]
        return outer_sum([4 * torch.sin(half) ** 2 for half in momenta])


def outer_sum(terms: Sequence[Tensor]) -> Tensor:
    """t_1(i) + t_2(j) + ... for a term of each axis, ``(len(t_1), len(t_2), ...)``."""
    return torch.stack(torch.meshgrid(*terms, indexing="ij")).sum(0)


def sum_sites(x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Sum over all sites: ``(batch, *shape) -> (batch,)``, in another ``dtype`` if one is given."""
    return x.flatten(1).sum(1, dtype=dtype)


def neighbour(phi: Tensor, axis: int, step: int = 1) -> Tensor:
    """phi(x + step mu) for the lattice direction mu = ``axis``; ``(batch, *shape)``."""
    return phi.roll(-step, dims=axis + 1)


def batch_fastest(phi: Tensor) -> Tensor:
    """The same field ``(batch, *shape)`` with the batch as the fastest index in memory.

    A shift along an axis then moves long blocks. Elementwise operations keep the layout.
    """
    return phi.movedim(0, -1).contiguous().movedim(-1, 0)
