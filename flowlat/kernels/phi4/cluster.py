"""Cluster and local updates of phi^4 for many configurations at once."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import torch
from torch import Tensor

from flowlat.kernels.first_use import N_COMPARED, Comparison, sound
from flowlat.kernels.library import WITHOUT, call, fields, threads_for
from flowlat.kernels.phi4.cluster_plain import cluster_plainly
from flowlat.kernels.phi4.theory import Steps, Theory
from flowlat.kernels.select import choose

#: a second thread has to be worth starting: updates of a site for each of them
WORK_PER_THREAD = 2**16


class Cluster(ctypes.Structure):
    """struct Cluster of cluster.cpp."""

    _fields_ = (
        *fields(ctypes.c_int64, "d sites batch threads metropolis overrelaxation key"),
        *fields(ctypes.c_double, "mass lam width reflection"),
        *fields(ctypes.c_void_p, "neighbours phi out action accepted"),
    )


class Updated(NamedTuple):
    """phi ``(batch, *shape)``; S there, and the fraction of Metropolis' proposals that were
    accepted, ``(batch,)``."""

    phi: Tensor
    action: Tensor
    acceptance: Tensor


def cluster(phi: Tensor, theory: Theory, steps: Steps, key: int) -> Updated:
    """Clusters of the sign of phi, all of them, each flipped by a coin; then local sweeps.

    Neighbours of one sign are bound with probability 1 - exp(-4 phi(x) phi(y)): for fixed abs(phi)
    the signs are an Ising model of couplings 2 abs(phi(x)) abs(phi(y)), without a field where S is
    even. Brower and Tamayo, Phys. Rev. Lett. 62 (1989) 1087; Swendsen and Wang, Phys. Rev. Lett. 58
    (1987) 86. The sweeps go through the sites in order.

    Args:
        phi: ``(batch, *shape)``, float64 on the CPU; left alone.
        key: below 2^63. Random numbers are those of Philox4x32-10 for this key, the number of the
            site and the configuration, and what they are for: with and without a compiler the same.
    """
    sites = phi[0].numel()
    field = phi.reshape(len(phi), sites).T.contiguous()

    def fused(field: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return cluster_fused(field, theory, steps, key)

    def plain(field: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return cluster_plainly(field, theory, steps, key)

    def inputs() -> dict[str, Tensor]:
        return {"phi": field[:, :N_COMPARED]}

    kind = theory.d, bool(steps.metropolis), bool(steps.overrelaxation)
    compared = Comparison("cluster", kind, field, fused, plain, inputs, gradients=False)
    compiled = choose("cpu", phi.dtype) == "cpu" and sound(compared, WITHOUT)
    new, action, accepted = (fused if compiled else plain)(field)
    acceptance = accepted / max(1, sites * steps.metropolis)
    return Updated(new.T.reshape(phi.shape), action, acceptance)


def cluster_fused(
    field: Tensor, theory: Theory, steps: Steps, key: int
) -> tuple[Tensor, Tensor, Tensor]:
    """By the compiled kernel: (phi ``(sites, batch)``, S and proposals accepted, ``(batch,)``)."""
    sites, batch = field.shape
    field = field.contiguous()
    out, action, accepted = torch.empty_like(field), field.new_empty(batch), field.new_empty(batch)
    work = field.numel() * (theory.d + steps.metropolis + steps.overrelaxation)
    task = Cluster(
        theory.d,
        sites,
        batch,
        threads_for(work, WORK_PER_THREAD),
        steps.metropolis,
        steps.overrelaxation,
        key,
        theory.mass,
        theory.lam,
        steps.width,
        steps.reflection,
        *(t.data_ptr() for t in (theory.neighbours, field, out, action, accepted)),
    )
    call("cluster", field.dtype, task)
    return out, action, accepted
