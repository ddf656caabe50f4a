"""A trajectory of Hybrid Monte Carlo in phi^4 by the compiled kernel: trajectory.cpp."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from flowlat.kernels.library import call, fields, threads_for
from flowlat.lattice import batch_fastest

#: a second thread has to be worth starting: updates of a site for each of them
WORK_PER_THREAD = 2**18


class Trajectory(ctypes.Structure):
    """struct Trajectory of trajectory.cpp."""

    _fields_ = (
        *fields(ctypes.c_int64, "d sites batch threads n_steps n_drifts"),
        *fields(ctypes.c_double, "m2 lam step_size"),
        *fields(ctypes.c_void_p, "sides kicks drifts phi pi out action kinetic"),
    )


class Energies(NamedTuple):
    """phi at the end ``(batch, *shape)``; S there and the change of K, ``(batch,)``."""

    phi: Tensor
    action: Tensor
    kinetic: Tensor


def trajectory(
    phi: Tensor,
    pi: Tensor,
    m2: float,
    lam: float,
    kicks: Sequence[float],
    drifts: Sequence[float],
    step_size: float,
    n_steps: int,
) -> Energies:
    """Hamilton's equations of H = S + sum_x pi^2 / 2 by so many steps, S that of phi^4.

    A step is a kick, a drift, ..., a kick, of these fractions of the step size, as of
    :class:`flowlat.samplers.dynamics.integrators.Integrator`. phi and pi, ``(batch, *shape)`` in
    float64 on the CPU, are left alone.
    """
    shape, batch = phi.shape[1:], len(phi)
    sites = shape.numel()
    given = [batch_fastest(field) for field in (phi, pi)]
    out = torch.empty_like(given[0])
    action, kinetic = phi.new_empty(batch), phi.new_empty(batch)
    work = batch * sites * n_steps * len(drifts)
    numbers = doubles(tuple(shape), tuple(kicks), tuple(drifts))
    task = Trajectory(
        len(shape),
        sites,
        batch,
        threads_for(work, WORK_PER_THREAD),
        n_steps,
        len(drifts),
        m2,
        lam,
        step_size,
        *(tensor.data_ptr() for tensor in (*numbers, *given, out, action, kinetic)),
    )
    call("trajectory", phi.dtype, task)
    return Energies(out, action, kinetic)


@lru_cache(maxsize=64)
def doubles(
    shape: tuple[int, ...], kicks: tuple[float, ...], drifts: tuple[float, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """Sides and fractions as the kernel reads them."""
    first, second = (torch.tensor(values, dtype=torch.float64) for values in (kicks, drifts))
    return torch.tensor(shape), first, second
