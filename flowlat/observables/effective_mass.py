"""The pole mass from the decay of the two-point function."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from flowlat.observables.base import Configurations, Observable
from flowlat.observables.two_point import correlator

#: halvings of an interval of length log 2: below the rounding of float64
BISECTIONS = 54


class EffectiveMass(Observable):
    """m(t), t = 0 .. T//2 - 1, that solves the periodic form between t and t + 1,

        C(t) / C(t+1) = cosh(m (T/2 - t)) / cosh(m (T/2 - t - 1)).

    NaN where there is no solution, which needs C(t) > C(t+1) > 0: noise at large t.
    ``connected``: of C(t) - <|M|>^2, the right one in an ordered phase. ``all_axes`` as in
    ``TwoPoint``. In the free theory m(t) = 2 asinh(sqrt(m2) / 2) for all t.

    Measured: C(t) over the full period t = 0 .. T-1 (its length is T), and |M| if connected.
    """

    symbol = "m_eff(t)"

    def __init__(self, connected: bool = False, all_axes: bool = True):
        self.connected = connected
        self.quadratic = not connected
        self.all_axes = all_axes

    def exists(self, shape: Sequence[int]) -> bool:
        return shape[-1] > 1

    def measure(self, configurations: Configurations) -> Tensor:
        full = correlator(configurations, self.all_axes)
        if self.connected:
            full = torch.cat([full, configurations.mean_field.abs()[:, None]], 1)
        return full

    def derive(self, means: Tensor) -> Tensor:
        full = means[:-1] - means[-1] ** 2 if self.connected else means
        return periodic_mass(full)


def periodic_mass(full: Tensor) -> Tensor:
    """The cosh mass of a correlator over a full period, ``(T,) -> (T // 2,)``; differentiable."""
    period = len(full)
    now, then = full[: period // 2], full[1 : period // 2 + 1]
    solvable = (now > then) & (then > 0)
    # a harmless ratio where there is no solution, or NaN would spoil the other gradients
    log_ratio = torch.log(torch.where(solvable, now, 2.0) / torch.where(solvable, then, 1.0))
    tau = period / 2 - torch.arange(period // 2, dtype=full.dtype, device=full.device)
    root = solve(log_ratio.detach(), tau)
    # one Newton step: no change of the value, and the gradient of the implicit function theorem
    slope = tau * torch.tanh(root * tau) - (tau - 1) * torch.tanh(root * (tau - 1))
    mass = root + (log_ratio - log_cosh_ratio(root, tau)) / slope
    return torch.where(solvable, mass, math.nan)


def solve(log_ratio: Tensor, tau: Tensor) -> Tensor:
    """m >= 0 with log[cosh(m tau) / cosh(m (tau-1))] = log_ratio > 0, by bisection, tau >= 1.

    The left side grows with m and lies between m - log 2 and m, which brackets the root.
    """
    low, high = log_ratio, log_ratio + math.log(2)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        below = log_cosh_ratio(middle, tau) < log_ratio
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return high


def log_cosh_ratio(m: Tensor, tau: Tensor) -> Tensor:
    """log[cosh(m tau) / cosh(m (tau-1))] for m >= 0, tau >= 1, without overflow."""
    return m + torch.log1p(torch.exp(-2 * m * tau)) - torch.log1p(torch.exp(-2 * m * (tau - 1)))
