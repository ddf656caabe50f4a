"""phi^4 on a periodic lattice, and a sweep of it, as the cluster kernels read them."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor


class Theory(NamedTuple):
    """S = sum_x { mass phi^2 + lam phi^4 - sum over the neighbours y of x: phi(x) phi(y) }.

    Over the axes of more than one site, mass = 2 d + m2: along one of a single site phi(x+mu) is
    phi(x), and the square that it gives takes 2 from the mass.

    neighbours ``(sites, d, 2)``, forwards and backwards; sides ``(axes,)`` of the lattice and
    position ``(axes, sites)``, along those of a single site, too.
    """

    mass: float
    lam: float
    neighbours: Tensor
    sides: Tensor
    position: Tensor

    @property
    def d(self) -> int:
        """Axes of more than one site."""
        return self.neighbours.shape[1]


class Steps(NamedTuple):
    """An update: so many sweeps of Metropolis, then of overrelaxation, then clusters.

    Metropolis proposes phi + u, u uniform in (-width, width), overrelaxation reflection b - phi,
    b = 2 sum over the neighbours: S of a site is mass phi^2 + lam phi^4 - b phi.

    The clusters are all of them, each flipped by a coin, or, if ``single`` is not 0, so many single
    ones that are flipped always. ``correlators``: also their two-point function.
    """

    metropolis: int
    overrelaxation: int
    width: float
    reflection: float
    single: int = 0
    correlators: bool = False


@lru_cache(maxsize=16)
def theory_of(m2: float, lam: float, shape: tuple[int, ...]) -> Theory:
    """That of the couplings on a lattice."""
    long = tuple(side for side in shape if side > 1)
    site = torch.arange(math.prod(long)).reshape(long)
    shifts = [
        torch.stack([site.roll(-1, axis).flatten(), site.roll(1, axis).flatten()], 1)
        for axis in range(len(long))
    ]
    empty = torch.empty(site.numel(), 0, 2, dtype=torch.int64)
    neighbours = torch.stack(shifts, 1) if shifts else empty
    position = torch.ones(shape).nonzero().T.int().contiguous()
    return Theory(2 * len(long) + m2, lam, neighbours, torch.tensor(shape), position)
