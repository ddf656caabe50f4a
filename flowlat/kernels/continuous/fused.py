"""The fused solver of the continuous flow as an autograd function: continuous.cpp."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from flowlat.kernels.continuous.runge_kutta import RungeKutta
from flowlat.kernels.continuous.tables import Tables
from flowlat.kernels.library import Buffer, applied, call, fields, pointers, threads_for
from flowlat.kernels.modes import modes_of
from flowlat.kernels.select import announce, choose
from flowlat.lattice.shells import shells

#: what the kernel has room for
MOST_TERMS, MOST_STAGES = 8, 64
#: a second thread has to be worth starting: values of the nonlinearity for each of them
WORK_PER_THREAD = 2**17


class Method(ctypes.Structure):
    """struct Method of continuous.cpp."""

    _fields_ = (
        *fields(ctypes.c_int64, "n_steps n_stages nodes_per_step"),
        ("h", ctypes.c_double),
        *fields(ctypes.c_void_p, "node a b"),
    )


class System(ctypes.Structure):
    """struct System of continuous.cpp."""

    _fields_ = (
        *fields(ctypes.c_int64, "d sites n_shells channels terms n_nodes odd"),
        *fields(ctypes.c_void_p, "sides shell"),
    )


class Task(ctypes.Structure):
    """struct Task of continuous.cpp."""

    _fields_ = (
        *fields(ctypes.c_int64, "batch threads"),
        *fields(ctypes.c_void_p, "phi score out log_det score_out kept grad_phi grads"),
    )


@dataclass(frozen=True)
class Plan:
    """What is solved, and how, as continuous.cpp wants it; ``alive`` keeps what it points to."""

    system: System
    method: Method
    work: int  # values of the nonlinearity a configuration
    alive: tuple[Any, ...]

    def task(self, batch: int) -> Task:
        return Task(batch=batch, threads=threads_for(self.work * batch, WORK_PER_THREAD))


def solves(phi: Tensor, tables: Tables, odd: bool) -> bool:
    """Whether the fused solver takes this field and these tables."""
    terms = tables.coefficients.shape[2] * (1 + odd)
    fits = terms <= MOST_TERMS and all(table.dtype == phi.dtype for table in tables)
    return fits and fused(phi.device.type, phi.dtype)


def fused(device: str, dtype: torch.dtype) -> bool:
    """Whether the compiled kernels are there."""
    compiled = choose(device, dtype) == "cpu"
    name = "fused" if compiled else "plain PyTorch"
    announce("solver of the continuous flow", device, dtype, name)
    return compiled


def solve(
    phi: Tensor,
    tables: Tables,
    method: RungeKutta,
    n_steps: int,
    sign: int,
    odd: bool,
    score: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """(phi(1), log_det) of :class:`flowlat.bijections.Continuous` by the fused kernel.

    Backwards, from phi(1) to phi(0), if ``sign`` is -1. The gradients in the field and in all
    tables come from the field at every stage, which is all that is kept.

    Args:
        phi: ``(batch, *shape)``, float32 or float64 on the CPU; see :func:`solves`.
        tables: at the nodes of every step, forward in time.
        score: s = d log q / d phi at phi ``(batch, *shape)``; that at the solution is then returned
            as well, without gradients, from ds/dt = -(dv/dphi)^T s - grad div v
            (Vaitl, Winkler, Richter, Kessel, arXiv:2403.15881).
    """
    tableau = tuple(method.nodes), tuple(method.stages), tuple(method.weights)
    shapes = tuple(phi.shape[1:]), tuple(tables.coefficients.shape)
    planned = plan(*shapes, *tableau, n_steps, sign, odd)
    result: tuple[Tensor, ...] = applied(Solve, planned, score, phi, *tables)
    return result


@lru_cache(maxsize=64)
def plan(
    shape: tuple[int, ...],
    of_coefficients: tuple[int, ...],
    nodes: tuple[float, ...],
    stages: tuple[tuple[int, tuple[float, ...]], ...],
    weights: tuple[float, ...],
    n_steps: int,
    sign: int,
    odd: bool,
) -> Plan:
    """The description of a solution, built once."""
    n_nodes, channels, terms = of_coefficients
    (sides, shell), n_stages = modes_of(shape), len(stages)
    node = torch.tensor([node for node, _ in stages], dtype=torch.int32)
    a = torch.zeros(n_stages, n_stages, dtype=torch.float64)
    for i, (_, row) in enumerate(stages):
        a[i, : len(row)] = torch.tensor(row, dtype=torch.float64)
    b = torch.tensor(weights, dtype=torch.float64)
    sizes = len(shape), len(shell), len(shells(shape)[0]), channels, terms, n_nodes, odd
    system = System(*sizes, sides.data_ptr(), shell.data_ptr())
    at = node.data_ptr(), a.data_ptr(), b.data_ptr()
    work = n_steps * n_stages * channels * len(shell)
    numbers = n_steps, n_stages, len(nodes) - 1, sign / n_steps
    return Plan(system, Method(*numbers, *at), work, (shell, sides, node, a, b))


class Solve(torch.autograd.Function):
    """Of the plan, the score or None, the field and the tables."""

    @staticmethod
    def forward(
        ctx: Any, planned: Plan, score: Tensor | None, phi: Tensor, *tables: Tensor
    ) -> tuple[Tensor, ...]:
        phi = phi.contiguous()
        tables = tuple(table.contiguous() for table in tables)
        results = [torch.empty_like(phi), phi.new_empty(len(phi))]
        task = planned.task(len(phi))
        task.phi, task.out, task.log_det = phi.data_ptr(), *(r.data_ptr() for r in results)
        if score is not None:
            score = score.to(phi.dtype).contiguous()
            results.append(torch.empty_like(phi))
            task.score, task.score_out = score.data_ptr(), results[2].data_ptr()
            ctx.mark_non_differentiable(results[2])
        given, description = pointers(tables), (planned.system, planned.method)
        if any(ctx.needs_input_grad):
            sizes = *description, len(phi)
            kept = Buffer.tensor(call("solve_kept_bytes", phi.dtype, *sizes, result=ctypes.c_int64))
            task.kept = kept.data_ptr()
            # saved and not an attribute, so that checkpointing may drop it and compute it again
            ctx.save_for_backward(kept, *tables)
            ctx.plan = planned
        call("solve_forward", phi.dtype, *description, given, task)
        return tuple(results)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad: Tensor, grad_log_det: Tensor, *_: Tensor
    ) -> tuple[Tensor | None, ...]:
        kept, *tables = ctx.saved_tensors
        grad, grad_log_det = grad.contiguous(), grad_log_det.contiguous()
        grad_phi = torch.empty_like(grad)
        task = ctx.plan.task(len(grad))
        task.out, task.log_det = grad.data_ptr(), grad_log_det.data_ptr()
        task.kept, task.grad_phi = kept.data_ptr(), grad_phi.data_ptr()
        grads: list[Any] = [None] * len(tables)
        if any(ctx.needs_input_grad[3:]):
            grads = [torch.empty_like(table) for table in tables]
            wanted = pointers(grads)
            task.grads = ctypes.addressof(wanted)
        given = pointers(tables)
        call("solve_backward", grad.dtype, ctx.plan.system, ctx.plan.method, given, task)
        return None, None, grad_phi, *grads
