"""The fused CPU kernel as an autograd function: stencil.cpp for a whole stack of layers."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from flowlat.kernels.library import Buffer, applied, call, fields, pointers, threads_for
from flowlat.kernels.stencil.spec import StencilSpec, active_sites

#: (kind, slope of the negative half) as stencil.cpp has them
ACTIVATION_CODES = {
    "identity": (0, 1.0),
    "relu": (0, 0.0),
    "leaky_relu": (0, 0.01),
    "tanh": (1, 0.0),
    "silu": (2, 0.0),
    "gelu": (3, 0.0),
}

#: a second thread has to be worth starting: multiply-adds for each of them
WORK_PER_THREAD = 2**22


class Layer(ctypes.Structure):
    """struct Layer of stencil.cpp."""

    _fields_ = (
        *fields(ctypes.c_int32, "c_in c_out branches taps choices activation"),
        ("slope", ctypes.c_double),
        *fields(ctypes.c_void_p, "neighbours outputs"),
        ("n_outputs", ctypes.c_int64),
    )


class Stack(ctypes.Structure):
    """struct Stack of stencil.cpp."""

    _fields_ = (
        *fields(ctypes.c_int64, "n_layers n_sites"),
        ("layers", ctypes.POINTER(Layer)),
    )


class Call(ctypes.Structure):
    """struct Call of stencil.cpp."""

    _fields_ = (
        *fields(ctypes.c_int64, "batch threads"),
        *fields(ctypes.c_void_p, "x y kept grad_x weights biases grad_weights grad_biases"),
    )

    @classmethod
    def of(
        cls, plan: Plan, batch: int, parameters: Sequence[Tensor], y: Tensor, kept: Tensor | None
    ) -> Call:
        """What forward and backward have in common. The tensors have to outlive the call."""
        threads = threads_for(plan.work * batch, WORK_PER_THREAD)
        call = cls(batch=batch, threads=threads, y=y.data_ptr())
        call.kept = None if kept is None else kept.data_ptr()
        call._given = pointers(parameters)
        call.weights = ctypes.addressof(call._given)
        call.biases = call.weights + ctypes.sizeof(call._given) // 2
        return call


@dataclass(frozen=True)
class Plan:
    """A spec with its channels as stencil.cpp wants it; ``alive`` keeps what it points to."""

    stack: Stack
    channels_out: int
    work: int  # multiply-adds a configuration
    alive: tuple[Any, ...]


@cache
def plan(spec: StencilSpec, channels: tuple[int, ...]) -> Plan:
    """The description of a stack, built once."""
    n_layers, choices = len(spec.activations), len(spec.branches)
    everywhere = torch.arange(spec.n_sites, dtype=torch.int32)
    active = active_sites(spec, torch.device("cpu"))
    wanted = everywhere if active is None else everywhere[active.flatten()].contiguous()
    split = spec.neighbours.contiguous()
    merged = split.permute(1, 0, 2).reshape(1, spec.n_sites, -1).contiguous()
    layers = (Layer * n_layers)()
    work = 0
    for i, name in enumerate(spec.activations):
        # where the activation acts on the sum, or is linear, all branches are one
        table = merged if spec.activation_last or name == "identity" else split
        outputs = wanted if i == n_layers - 1 else everywhere
        kind, slope = ACTIVATION_CODES[name]
        branches, _, taps = table.shape
        sizes = channels[i], channels[i + 1], branches, taps, choices
        at = table.data_ptr(), outputs.data_ptr(), outputs.numel()
        layers[i] = Layer(*sizes, kind, slope, *at)
        work += outputs.numel() * choices * spec.taps * channels[i] * channels[i + 1]
    stack = Stack(n_layers, spec.n_sites, layers)
    return Plan(stack, channels[-1], work, (layers, split, merged, everywhere, wanted))


class _CpuStack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, planned: Plan, *parameters: Tensor) -> Tensor:
        kept = None
        if any(ctx.needs_input_grad):
            size = call("kept_bytes", x.dtype, planned.stack, len(x), result=ctypes.c_int64)
            kept = Buffer.tensor(size)
            # saved and not an attribute, so that checkpointing may drop it and compute it again
            ctx.save_for_backward(kept, *parameters)
            ctx.plan, ctx.shape = planned, x.shape
        y = x.new_empty((len(x), planned.channels_out, *x.shape[2:]))
        task = Call.of(planned, len(x), parameters, y, kept)
        task.x = x.data_ptr()
        call("forward", x.dtype, planned.stack, task)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        kept, *parameters = ctx.saved_tensors
        grad = grad.contiguous()
        task = Call.of(ctx.plan, grad.shape[0], parameters, grad, kept)
        grad_x = grad.new_empty(ctx.shape) if ctx.needs_input_grad[0] else None
        task.grad_x = None if grad_x is None else grad_x.data_ptr()
        grads: list[Any] = [None] * len(parameters)
        if any(ctx.needs_input_grad[2:]):
            grads = [torch.empty_like(p) for p in parameters]
            wanted = pointers(grads)
            task.grad_weights = ctypes.addressof(wanted)
            task.grad_biases = task.grad_weights + ctypes.sizeof(wanted) // 2
        call("backward", grad.dtype, ctx.plan.stack, task)
        return grad_x, None, *grads


def cpu_stack(
    x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], spec: StencilSpec
) -> Tensor:
    """:func:`flowlat.kernels.stencil_stack` by the fused kernel; float32 or float64, on the CPU.

    Raises:
        RuntimeError: the kernel cannot be built here.
        ValueError: a device or dtype that it does not do.
    """
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"kernel='cpu' takes float32 or float64 on the CPU, not {x.dtype} on {x.device}"
        )
    x = x.contiguous()
    parameters = [p.contiguous() for p in (*weights, *biases)]
    planned = plan(spec, (x.shape[1], *(w.shape[1] for w in weights)))
    y: Tensor = applied(_CpuStack, x, planned, *parameters)
    return y
