"""The inverse of a distribution function whose density is known on equidistant nodes."""

from functools import cache

import numpy as np
import torch
from numpy.polynomial import Polynomial
from torch import Tensor

#: nodes to either side of the nearest one that a density is interpolated through
SIDE = 6
#: Newton steps, from where a constant density would have z; a fourth moves the fifteenth digit
NEWTON = 3


def node_quantile(density: Tensor, nodes: Tensor, spacing: float, u: Tensor) -> Tensor:
    """z with F(z) = u, ``(n,)`` in float64.

    F' is the polynomial of degree 12 through the density at the nearest node and six to either
    side, F its integral from minus infinity, both over the sum of the density on all nodes: the
    trapezoid rule, which is exact to rounding for what is smooth and zero at both ends. F is
    continuous. For a p of width sigma, F' is p but for terms of the order (spacing / sigma)^13.

    Args:
        density: at the nodes, not normalised, ``(n, n_nodes)``; not negative but for rounding.
        nodes: from low to high; they may have a gap where the density is zero on both sides.
        spacing: h, of neighbouring nodes.
        u: ``(n,)``, from 0 to 1.
    """
    below = density.cumsum(1)
    target = (u * below[:, -1]).unsqueeze(1)
    nearest = torch.searchsorted(below, target, right=True).clamp_(SIDE, len(nodes) - 1 - SIDE)
    offsets = torch.arange(-SIDE, SIDE + 1, device=u.device)
    local = density.gather(1, nearest + offsets)
    powers, before = _tables(u.device)
    # of t = (z - node) / h: coefficients of F' and of (F - F(0)) / t, (13, 2, n)
    coefficients = (local @ powers).T.reshape(len(offsets), 2, len(u))
    centre = local[:, SIDE]
    missing = target.squeeze(1) - below.gather(1, nearest - 1).squeeze(1) - local @ before
    t = (missing / centre.clamp_min(torch.finfo(u.dtype).tiny)).clamp_(-1, 1)
    for _ in range(NEWTON):
        both = coefficients[-1]
        for coefficient in reversed(coefficients[:-1]):
            both = torch.addcmul(coefficient, both, t)
        slope, mean = both
        # where rounding is all that there is, a tail of 1e-16, it may be negative
        t = torch.where(slope > 0, t - (mean * t - missing) / slope, t).clamp_(-1, 1)
    return nodes[nearest.squeeze(1)] + spacing * t


@cache
def _tables(device: torch.device) -> tuple[Tensor, Tensor]:
    """Of a density on the nodes -6 ... 6, as products with it: the coefficients of its polynomial,
    and of the integral of that from 0 over its end, alternating, ``(13, 26)``; and ``(13,)`` the
    integral up to 0 less the sum over the nodes before."""
    nodes = np.arange(-SIDE, SIDE + 1)
    lagrange = []
    for node in nodes:
        others = nodes[nodes != node]
        lagrange.append(Polynomial.fromroots(others) / float(np.prod(node - others)))
    coefficients = np.stack([p.coef for p in lagrange])
    both = np.stack([coefficients, coefficients / (1 + np.arange(len(nodes)))], 2)
    # the integral over the cell of node i, from i - 1/2 to i + 1/2, has the weights w_s of the
    # nodes i + s; up to the cell of 0 all of them are summed
    cell = np.array([p.integ()(0.5) - p.integ()(-0.5) for p in lagrange])
    up_to_0 = np.array([p.integ()(0.0) - p.integ()(-0.5) for p in lagrange])
    tails = np.append(np.cumsum(cell[::-1])[::-1][1:], 0.0)  # sum of w_s for s > node
    before = tails - (nodes < 0) + up_to_0
    powers = torch.from_numpy(both.reshape(len(nodes), -1))
    return powers.to(device), torch.from_numpy(before).to(device)
