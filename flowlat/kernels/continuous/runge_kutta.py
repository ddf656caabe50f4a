"""Explicit Runge-Kutta methods for an ODE whose parameters are tabulated in time."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

S = math.sqrt(21)


class RungeKutta(NamedTuple):
    """k_i = v(x + h sum_j a_ij k_j, t + c_i h), x(t + h) = x + h sum_i b_i k_i.

    nodes: the distinct c_i, ascending from 0 to 1 and symmetric about 1/2, so that the same times
    serve a solution backwards. stages: of each the index of its node and the row a_i. weights: b.
    """

    nodes: tuple[float, ...]
    stages: tuple[tuple[int, tuple[float, ...]], ...]
    weights: tuple[float, ...]

    def times(self, n_steps: int, device: torch.device | None = None) -> Tensor:
        """All nodes of n equal steps from 0 to 1; the end of a step is the start of the next.

        Made on the device: a CUDA graph cannot copy from the host.
        """
        starts = torch.arange(n_steps, dtype=torch.float64, device=device)
        inner = torch.stack([starts + c for c in self.nodes[:-1]], 1).flatten() / n_steps
        return torch.cat([inner, torch.ones_like(inner[:1])])


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

#: of eighth order in eleven stages: Cooper, Verner, SIAM J. Numer. Anal. 9 (1972) 389, as in
#: Butcher, Numerical Methods for Ordinary Differential Equations (2016), table 326(II). Its nodes
#: and weights are those of the Gauss-Lobatto quadrature of five points
COOPER_VERNER = RungeKutta(
    nodes=(0, (7 - S) / 14, 1 / 2, (7 + S) / 14, 1),
    stages=(
        (0, ()),
        (2, (1 / 2,)),
        (2, (1 / 4, 1 / 4)),
        (3, (1 / 7, (-7 - 3 * S) / 98, (21 + 5 * S) / 49)),
        (3, ((11 + S) / 84, 0, (18 + 4 * S) / 63, (21 - S) / 252)),
        (2, ((5 + S) / 48, 0, (9 + S) / 36, (-231 + 14 * S) / 360, (63 - 7 * S) / 80)),
        (
            1,
            (
                (10 - S) / 42,
                0,
                (-432 + 92 * S) / 315,
                (633 - 145 * S) / 90,
                (-504 + 115 * S) / 70,
                (63 - 13 * S) / 35,
            ),
        ),
        (1, (1 / 14, 0, 0, 0, (14 - 3 * S) / 126, (13 - 3 * S) / 63, 1 / 9)),
        (
            2,
            (
                1 / 32,
                0,
                0,
                0,
                (91 - 21 * S) / 576,
                11 / 72,
                (-385 - 75 * S) / 1152,
                (63 + 13 * S) / 128,
            ),
        ),
        (
            3,
            (
                1 / 14,
                0,
                0,
                0,
                1 / 9,
                (-733 - 147 * S) / 2205,
                (515 + 111 * S) / 504,
                (-51 - 11 * S) / 56,
                (132 + 28 * S) / 245,
            ),
        ),
        (
            4,
            (
                0,
                0,
                0,
                0,
                (-42 + 7 * S) / 18,
                (-18 + 28 * S) / 45,
                (-273 - 53 * S) / 72,
                (301 + 53 * S) / 72,
                (28 - 28 * S) / 45,
                (49 - 7 * S) / 18,
            ),
        ),
    ),
    weights=(1 / 20, 0, 0, 0, 0, 0, 0, 49 / 180, 16 / 45, 49 / 180, 1 / 20),
)
