"""Explicit Runge-Kutta methods for an ODE whose parameters are tabulated in time."""

from typing import NamedTuple

import torch
from torch import Tensor


class RungeKutta(NamedTuple):
    """k_i = v(x + h sum_j a_ij k_j, t + c_i h), x(t + h) = x + h sum_i b_i k_i.

    nodes: the distinct c_i, ascending from 0 to 1. stages: of each the index of its node and the
    row a_i. weights: b.
    """

    nodes: tuple[float, ...]
    stages: tuple[tuple[int, tuple[float, ...]], ...]
    weights: tuple[float, ...]

    def times(self, n_steps: int, sign: int, device: torch.device | None = None) -> Tensor:
        """All nodes of n equal steps from 0 to 1, or of steps from 1 to 0 for a sign of -1.

        Ascending in either case; the end of a step is the start of the next. Made on the device: a
        CUDA graph cannot copy from the host.
        """
        starts = torch.arange(n_steps, dtype=torch.float64, device=device)
        inner = torch.stack([starts + c for c in self.nodes[:-1]], 1).flatten() / n_steps
        forwards = torch.cat([inner, torch.ones_like(inner[:1])])
        return forwards if sign > 0 else 1 - forwards.flip(0)


def combination(x: Tensor, h: float, coefficients: tuple[float, ...], k: list[Tensor]) -> Tensor:
    """x + h sum_j a_j k_j."""
    for a, velocity in zip(coefficients, k, strict=True):
        if a:
            x = x.add(velocity, alpha=h * a)
    return x


#: the classical method, of fourth order
CLASSICAL = RungeKutta(
    nodes=(0, 1 / 2, 1),
    stages=((0, ()), (1, (1 / 2,)), (1, (0, 1 / 2)), (2, (0, 0, 1))),
    weights=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
)
