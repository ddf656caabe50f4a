"""Calls into the compiled kernels."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from flowlat.kernels.compile import library

#: runs without the compiled kernels
WITHOUT = "CXX=none"


@cache
def why_unavailable() -> str | None:
    """Why the compiled kernels cannot run here, in one line; None when they can."""
    try:
        library()
    except RuntimeError as error:
        return str(error)
    return None


def call(function: str, dtype: torch.dtype, *arguments: Any, result: Any = None) -> Any:
    """Run ``flowlat_FUNCTION(arguments..., is_double)``; the interpreter's lock is free meanwhile.

    Integers go as int64_t, tensors, which have to be contiguous, and structures by their address.
    ``result`` is the C type of what comes back.
    """
    run = getattr(library(), f"flowlat_{function}")
    run.restype = result
    return run(*map(as_c, arguments), ctypes.c_int32(dtype == torch.float64))


class Fused(torch.autograd.Function):
    """A pair of compiled functions of some inputs, and so an operation with gradients.

    ``NAME_forward(sizes, inputs, outputs)`` and
    ``NAME_backward(sizes, inputs, gradients of the outputs, gradients of the inputs)``.
    """

    @staticmethod
    def forward(
        ctx: Any, name: str, sizes: tuple[int, ...], shapes: tuple[torch.Size, ...], *inputs: Tensor
    ) -> tuple[Tensor, ...]:
        """Outputs of these shapes, of the dtype of the first input."""
        inputs = tuple(given.contiguous() for given in inputs)
        ctx.save_for_backward(*inputs)
        ctx.name, ctx.sizes = name, sizes
        outputs = tuple(map(inputs[0].new_empty, shapes))
        call(f"{name}_forward", inputs[0].dtype, *sizes, *inputs, *outputs)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        arguments = *inputs, *(gradient.contiguous() for gradient in gradients)
        results = tuple(map(torch.empty_like, inputs))
        call(f"{ctx.name}_backward", inputs[0].dtype, *ctx.sizes, *arguments, *results)
        return None, None, None, *results


def as_c(argument: int | Tensor | ctypes.Structure) -> Any:
    if isinstance(argument, Tensor):
        return ctypes.c_void_p(argument.data_ptr())
    return ctypes.c_int64(argument) if isinstance(argument, int) else ctypes.byref(argument)


def peak_gflops(dtype: torch.dtype) -> float:
    """Measured multiply-add peak of one thread, from registers, in GFLOP/s."""
    return float(call("peak_gflops", dtype, result=ctypes.c_double))
