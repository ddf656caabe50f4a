"""S of phi^4 and its force, each in one pass over the field: action.cpp."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import torch
from torch import Tensor

from flowlat.kernels.first_use import N_COMPARED, Comparison, Function, sound
from flowlat.kernels.library import WITHOUT, applied, call, fields, threads_for
from flowlat.kernels.select import choose
from flowlat.lattice import sum_sites

#: a second thread has to be worth starting: sites for each of them
WORK_PER_THREAD = 2**15
#: rounding errors of a site, where its terms cancel
CANCELLED = 100


def phi4_action(phi: Tensor, m2: float, lam: float) -> Tensor:
    """S = sum_x { (2d + m2) phi^2 + lam phi^4 - 2 sum_mu phi(x) phi(x+mu) }, ``(batch,)``.

    Args:
        phi: ``(batch, *shape)``. The fused CPU kernel adds up in float64, and rounds to the dtype
            of phi; it takes rows, and a field of ``batch_fastest`` layout, as they are.
    """

    def fast(phi: Tensor) -> Tensor:
        result: Tensor = applied(ActionFused, phi, m2, lam)
        return result

    def plain(phi: Tensor) -> Tensor:
        return action_reference(phi, m2, lam)

    return (fast if _usable("action", phi, fast, plain, True) else plain)(phi)


def phi4_force(phi: Tensor, m2: float, lam: float) -> Tensor:
    """-dS/dphi(x), ``(batch, *shape)``, where phi lies rows or ``batch_fastest`` as that is.

    By the fused CPU kernel where it runs, unless gradients of the force itself are wanted.
    """

    def fast(phi: Tensor) -> Tensor:
        return force_fused(phi, m2, lam)

    def plain(phi: Tensor) -> Tensor:
        return force_reference(phi, m2, lam)

    differentiated = phi.requires_grad and torch.is_grad_enabled()
    fused = not differentiated and _usable("force", phi, fast, plain, False)
    return (fast if fused else plain)(phi)


def _usable(name: str, phi: Tensor, fast: Function, plain: Function, gradients: bool) -> bool:
    """Whether the fused kernel is there, and does what PyTorch does."""
    if phi.dim() < 2 or choose(phi.device.type, phi.dtype) != "cpu":
        return False

    def inputs() -> dict[str, Tensor]:
        return {"phi": phi[:N_COMPARED]}

    kind = phi.dim(), phi.is_contiguous()
    # S may be zero where its terms are not
    rounding = CANCELLED * math.prod(phi.shape[1:]) * torch.finfo(phi.dtype).eps
    compared = Comparison(f"phi4 {name}", kind, phi, fast, plain, inputs, gradients, rounding)
    return sound(compared, WITHOUT)


class Task(ctypes.Structure):
    """struct Action of action.cpp."""

    _fields_ = (
        *fields(ctypes.c_int64, "d sites batch threads step between"),
        *fields(ctypes.c_double, "m2 lam"),
        *fields(ctypes.c_void_p, "sides phi action force"),
    )


def action_fused(phi: Tensor, m2: float, lam: float) -> Tensor:
    """S by the fused CPU kernel."""
    action = phi.new_empty(len(phi), dtype=torch.float64)
    _run(in_order(phi), m2, lam, action=action.data_ptr())
    return action.to(phi.dtype)


def force_fused(phi: Tensor, m2: float, lam: float) -> Tensor:
    """-dS/dphi by the fused CPU kernel."""
    phi = in_order(phi)
    force = torch.empty_like(phi)
    _run(phi, m2, lam, force=force.data_ptr())
    return force


def in_order(phi: Tensor) -> Tensor:
    """As the kernel takes it: the batch is the slowest index in memory, or the fastest."""
    return phi if phi.movedim(0, -1).is_contiguous() else phi.contiguous()


def _run(phi: Tensor, m2: float, lam: float, **results: int) -> None:
    batch, shape = len(phi), phi.shape[1:]
    sites = shape.numel()
    step, between = (1, sites) if phi.is_contiguous() else (batch, 1)
    sides = (ctypes.c_int64 * len(shape))(*shape)
    threads = threads_for(phi.numel(), WORK_PER_THREAD)
    task = Task(len(shape), sites, batch, threads, step, between, m2, lam, **results)
    task.sides, task.phi = ctypes.addressof(sides), phi.data_ptr()
    call("action", phi.dtype, task)


class ActionFused(torch.autograd.Function):
    """S of the field and the couplings; its gradient is minus the force."""

    @staticmethod
    def forward(ctx: Any, phi: Tensor, m2: float, lam: float) -> Tensor:
        ctx.save_for_backward(phi)
        ctx.couplings = m2, lam
        return action_fused(phi, m2, lam)

    @staticmethod
    def backward(ctx: Any, of_action: Tensor) -> tuple[Tensor, None, None]:
        (phi,) = ctx.saved_tensors
        force = phi4_force(phi, *ctx.couplings)  # with gradients of its own, if they are wanted
        return -of_action.reshape(-1, *[1] * (phi.dim() - 1)) * force, None, None


def action_reference(phi: Tensor, m2: float, lam: float) -> Tensor:
    """S in plain PyTorch."""
    d = phi.dim() - 1
    hops = sum_neighbours(phi, (1,))
    phi2 = phi * phi
    return sum_sites(phi2 * (2 * d + m2 + lam * phi2) - 2 * phi * hops)


def force_reference(phi: Tensor, m2: float, lam: float) -> Tensor:
    """-dS/dphi in plain PyTorch."""
    d = phi.dim() - 1
    hops = sum_neighbours(phi, (1, -1))
    mass = phi.new_tensor(-2 * (2 * d + m2))
    return torch.addcmul(mass, phi, phi, value=-4 * lam).mul_(phi).add_(hops, alpha=2)


def sum_neighbours(phi: Tensor, steps: tuple[int, ...]) -> Tensor:
    """sum_mu sum_{n in steps} phi(x + n mu).

    A field of ``batch_fastest`` layout stays one: a shift then moves blocks of memory that are
    long, whatever its axis.
    """
    turned = phi.movedim(0, -1)
    fastest = turned.is_contiguous()
    field, first = (turned, 0) if fastest else (phi, 1)
    shifts = [(-n, first + axis) for axis in range(phi.dim() - 1) for n in steps]
    total = field.roll(*shifts[0])
    for shift in shifts[1:]:
        # in place: HMC spends most of its time here, and memory traffic is what it costs
        total += field.roll(*shift)
    return total.movedim(-1, 0) if fastest else total
