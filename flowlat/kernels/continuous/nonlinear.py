"""The nonlinearity of the continuous flow and its derivative, summed over the sites."""

import torch
from torch import Tensor


def nonlinear(u: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
    """f_j(u) = sum_m c_jm s^m with s = u / sqrt(1 + u^2), and D_j = sum_x f_j'(u).

    A polynomial of a squashed field: bounded, and analytic in the field and in c.

    Args:
        u: ``(V, channels, batch)``.
        coefficients: c, ``(channels, terms)``.

    Returns:
        (f ``(V, channels, batch)``, D ``(channels, batch)``).
    """
    r = torch.rsqrt(1 + u * u)
    s = u * r
    *lower, p = coefficients.unsqueeze(-1).unbind(1)
    slope = torch.zeros_like(p)
    for c in reversed(lower):
        slope = slope * s + p
        p = p * s + c
    return p.expand_as(u), (slope * r**3).sum(0)
