"""The nonlinearity of the continuous flow and its derivative, summed over the sites."""

from __future__ import annotations

import torch
from torch import Tensor

from flowlat.kernels.library import Fused
from flowlat.kernels.select import choose

#: the most terms that the fused kernel takes
MOST_TERMS = 16


def nonlinear(u: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
    """f_j(u) = sum_m c_jm s^m with s = u / sqrt(1 + u^2), and D_j = sum_x f_j'(u).

    A polynomial of a squashed field: bounded, and analytic in the field and in c.

    Args:
        u: ``(V, channels, batch)``.
        coefficients: c, ``(channels, terms)``.

    Returns:
        (f ``(V, channels, batch)``, D ``(channels, batch)``), fused on the CPU where that runs.
    """
    fits = coefficients.dtype == u.dtype and coefficients.shape[1] <= MOST_TERMS
    if fits and choose(u.device.type, u.dtype) == "cpu":
        sizes = *u.shape, coefficients.shape[1]
        f, d = Fused.apply("nonlinear", sizes, (u.shape, u.shape[1:]), u, coefficients)
        return f, d
    return nonlinear_reference(u, coefficients)


def nonlinear_reference(u: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
    """The same in plain PyTorch."""
    r = torch.rsqrt(1 + u * u)
    s = u * r
    *lower, p = coefficients.unsqueeze(-1).unbind(1)
    slope = torch.zeros_like(p)
    for c in reversed(lower):
        slope = slope * s + p
        p = p * s + c
    return p.expand_as(u), (slope * r**3).sum(0)
