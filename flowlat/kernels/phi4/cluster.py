"""Cluster and local updates of phi^4 for many configurations at once."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import torch
from torch import Tensor

from flowlat.kernels.first_use import N_COMPARED, Comparison, sound
from flowlat.kernels.library import WITHOUT, call, fields, threads_for
from flowlat.kernels.phi4.cluster_plain import Results, cluster_plainly
from flowlat.kernels.phi4.theory import Steps, Theory
from flowlat.kernels.select import choose

#: a second thread has to be worth starting: updates of a site for each of them
WORK_PER_THREAD = 2**16


class Cluster(ctypes.Structure):
    """struct Cluster of cluster.h."""

    _fields_ = (
        *fields(ctypes.c_int64, "d sites batch threads metropolis overrelaxation single axes key"),
        *fields(ctypes.c_double, "mass lam width reflection"),
        *fields(ctypes.c_void_p, "neighbours sides position"),
        *fields(ctypes.c_void_p, "phi out action accepted flipped correlators"),
    )


class Updated(NamedTuple):
    """phi ``(batch, *shape)``; S there, the fraction of Metropolis' proposals that were accepted,
    and the sites of single clusters, all of them together, ``(batch,)``.

    correlators ``(batch, sum of sides)``: of every axis in turn, mean_s P(s) P(s+t), t = 0 .. L-1,
    P(s) the mean of phi over a slice, averaged over the signs of all clusters; of single ones, of
    |C| sites each, the mean of V / |C| times what they have. Without ``steps.correlators``
    ``(batch, 0)``.
    """

    phi: Tensor
    action: Tensor
    acceptance: Tensor
    flipped: Tensor
    correlators: Tensor


def cluster(phi: Tensor, theory: Theory, steps: Steps, key: int) -> Updated:
    """Local sweeps, which go through the sites in order; then clusters of the sign of phi.

    Neighbours of one sign are bound with probability 1 - exp(-4 phi(x) phi(y)): for fixed abs(phi)
    the signs are an Ising model of couplings 2 abs(phi(x)) abs(phi(y)), without a field where S is
    even (Brower and Tamayo, Phys. Rev. Lett. 62 (1989) 1087). All clusters are flipped by a coin
    each (Swendsen and Wang, Phys. Rev. Lett. 58 (1987) 86); or ``steps.single`` times bonds are
    drawn anew and the cluster of a site at random is flipped (Wolff, Phys. Rev. Lett. 62 (1989)
    361).

    Args:
        phi: ``(batch, *shape)``, float64 on the CPU; left alone.
        key: below 2^63. Random numbers are those of Philox4x32-10 for this key, the number of the
            site and the configuration, and what they are for: with and without a compiler the same.
    """
    sites = phi[0].numel()
    field = phi.reshape(len(phi), sites).T.contiguous()

    def fused(field: Tensor) -> Results:
        return cluster_fused(field, theory, steps, key)

    def plain(field: Tensor) -> Results:
        return cluster_plainly(field, theory, steps, key)

    def inputs() -> dict[str, Tensor]:
        return {"phi": field[:, :N_COMPARED]}

    options = steps.metropolis, steps.overrelaxation, steps.single, steps.correlators
    kind = theory.d, *map(bool, options)
    compared = Comparison("cluster", kind, field, fused, plain, inputs, gradients=False)
    compiled = choose("cpu", phi.dtype) == "cpu" and sound(compared, WITHOUT)
    new, action, accepted, flipped, correlators = (fused if compiled else plain)(field)
    acceptance = accepted / max(1, sites * steps.metropolis)
    return Updated(new.T.reshape(phi.shape), action, acceptance, flipped, correlators)


def cluster_fused(field: Tensor, theory: Theory, steps: Steps, key: int) -> Results:
    """By the compiled kernel, for phi ``(sites, batch)``."""
    sites, batch = field.shape
    field = field.contiguous()
    out = torch.empty_like(field)
    action, accepted, flipped = (field.new_empty(batch) for _ in range(3))
    correlators = field.new_empty(batch, int(theory.sides.sum()) if steps.correlators else 0)
    work = field.numel() * (theory.d + steps.metropolis + steps.overrelaxation)
    task = Cluster(
        theory.d,
        sites,
        batch,
        threads_for(work, WORK_PER_THREAD),
        steps.metropolis,
        steps.overrelaxation,
        steps.single,
        len(theory.sides),
        key,
        theory.mass,
        theory.lam,
        steps.width,
        steps.reflection,
        *(t.data_ptr() for t in (theory.neighbours, theory.sides, theory.position)),
        *(t.data_ptr() for t in (field, out, action, accepted, flipped, correlators)),
    )
    call("cluster", field.dtype, task)
    return out, action, accepted, flipped, correlators
