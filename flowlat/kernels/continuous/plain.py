"""The continuous flow solved in plain PyTorch, on any device: the oracle of the fused solver."""

from typing import NamedTuple

import torch
from torch import Tensor

from flowlat.kernels.continuous.nonlinear import nonlinear
from flowlat.kernels.continuous.runge_kutta import RungeKutta, combination
from flowlat.kernels.continuous.tables import Tables
from flowlat.lattice import Fourier


class Velocity(NamedTuple):
    """What defines the velocity at one time, for the M modes of a :class:`flowlat.lattice.Fourier`.

    The fields are those of :class:`Tables`, without the time.
    """

    linear: Tensor  # (M, 1)
    first: Tensor  # (M, channels, 1)
    second: Tensor  # (M, channels, 1)
    coefficients: Tensor  # (channels, terms), the even powers among them
    trace: Tensor
    weights: Tensor  # (channels,)


def solve_plainly(
    phi: Tensor,
    tables: Tables,
    method: RungeKutta,
    n_steps: int,
    sign: int,
    odd: bool,
    fourier: Fourier,
    shell: Tensor,
) -> tuple[Tensor, Tensor]:
    """What :func:`flowlat.kernels.solve` does, without a score.

    Args:
        shell: of each mode of ``fourier``, int64 ``(M,)``.
    """
    now = velocities(tables, odd, shell)[::sign]
    h, stride = sign / n_steps, len(method.nodes) - 1
    x = fourier.to_modes(phi.flatten(1).T)
    log_det = phi.new_zeros(len(phi))
    for step in range(n_steps):
        k: list[Tensor] = []
        divergences: list[Tensor] = []
        for node, row in method.stages:
            at = combination(x, h, row, k), now[stride * step + node]
            velocity, divergence = velocity_of(*at, fourier)
            k.append(velocity)
            divergences.append(divergence)
        x = combination(x, h, method.weights, k)
        log_det = combination(log_det, h, method.weights, divergences)
    return fourier.to_sites(x).T.reshape(phi.shape), log_det


def velocities(tables: Tables, odd: bool, shell: Tensor) -> list[Velocity]:
    """The tables time by time, for every mode in place of every shell."""
    linear, first, second = (table.index_select(1, shell) for table in tables[:3])
    c = tables.coefficients
    if odd:  # the odd powers alone
        c = torch.stack([torch.zeros_like(c), c], -1).flatten(2)
    of_modes = linear.unsqueeze(-1), first.unsqueeze(-1), second.unsqueeze(-1)
    parts = zip(*of_modes, c, tables.trace, tables.weights, strict=True)
    return [Velocity(*now) for now in parts]


def velocity_of(x: Tensor, now: Velocity, fourier: Fourier) -> tuple[Tensor, Tensor]:
    """Of the modes x ``(M, batch)``, and its divergence ``(batch,)``."""
    u = fourier.to_sites(now.first * x.unsqueeze(1))
    f, slopes = nonlinear(u, now.coefficients)
    v = (now.second * fourier.to_modes(f)).sum(1)
    return v.addcmul(now.linear, x), now.trace + now.weights @ slopes
