"""Calls into the compiled kernels."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from flowlat.kernels.compile import library

#: runs without the compiled kernels
WITHOUT = "CXX=none"
#: what an OpenMP runtime is asked for: GNU's has it, and LLVM's and Intel's on Linux
RUNTIME = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")


@cache
def why_unavailable() -> str | None:
    """Why the compiled kernels cannot run here, in one line; None when they can."""
    try:
        library()
    except RuntimeError as error:
        return str(error)
    return None


@cache
def kernels() -> ctypes.CDLL:
    """The compiled kernels, on the threads of PyTorch where its runtime can be asked for them."""
    runtime, compiled = ctypes.CDLL(torch._C.__file__), library()
    with suppress(AttributeError):  # then they start threads of their own
        compiled.flowlat_use_threads(*(ctypes.cast(runtime[n], ctypes.c_void_p) for n in RUNTIME))
    return compiled


def call(function: str, dtype: torch.dtype, *arguments: Any, result: Any = None) -> Any:
    """Run ``flowlat_FUNCTION(arguments..., is_double)``; the interpreter's lock is free meanwhile.

    Integers go as int64_t, tensors, which have to be contiguous, and structures by their address.
    ``result`` is the C type of what comes back.
    """
    run = getattr(kernels(), f"flowlat_{function}")
    run.restype = result
    return run(*map(as_c, arguments), ctypes.c_int32(dtype == torch.float64))


def fields(kind: Any, names: str) -> list[tuple[str, Any]]:
    """Fields of one type for a ctypes structure."""
    return [(name, kind) for name in names.split()]


def pointers(tensors: Sequence[Tensor]) -> ctypes.Array:
    """A C array of their addresses."""
    return (ctypes.c_void_p * len(tensors))(*[t.data_ptr() for t in tensors])


def threads_for(work: int, per_thread: int) -> int:
    """PyTorch's number of threads, or as many as have ``per_thread`` of the work each."""
    return min(torch.get_num_threads(), max(1, work // per_thread))


class Buffer:
    """Memory that goes back to a pool, not to the system, when its graph is gone.

    Fresh pages cost as much as the kernel itself on small lattices, every step anew.
    """

    pool: ClassVar[dict[int, list[Tensor]]] = {}
    most_sizes = 8

    def __init__(self, size: int):
        free = self.pool.get(size)
        self.data = free.pop() if free else torch.empty(size, dtype=torch.uint8)

    @classmethod
    def tensor(cls, size: int) -> Tensor:
        """So many bytes, which go back to the pool with the tensor."""
        buffer = cls(size)
        tensor = buffer.data[:]
        tensor.buffer = buffer  # type: ignore[attr-defined]
        return tensor

    @classmethod
    def release(cls) -> None:
        """Give the pool back to the system, at the end of a run: another may never need it."""
        cls.pool.clear()

    def __del__(self) -> None:
        size = self.data.numel()
        if size not in self.pool and len(self.pool) >= self.most_sizes:
            self.pool.clear()
        self.pool.setdefault(size, []).append(self.data)


class Unrecorded:
    """The context of an autograd function of which nobody asks for gradients: it keeps nothing."""

    needs_input_grad: ClassVar[tuple[bool, ...]] = ()

    def save_for_backward(self, *_: Tensor) -> None:
        pass

    def mark_non_differentiable(self, *_: Tensor) -> None:
        pass


def applied(function: type[torch.autograd.Function], *arguments: Any) -> Any:
    """``function.apply``; where no gradients are computed its forward alone, which saves a tenth of
    the time of a small batch."""
    if torch.is_grad_enabled():
        return function.apply(*arguments)
    return function.forward(Unrecorded(), *arguments)


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


def as_c(argument: int | Tensor | ctypes.Structure | ctypes.Array) -> Any:
    if isinstance(argument, Tensor):
        return ctypes.c_void_p(argument.data_ptr())
    return ctypes.c_int64(argument) if isinstance(argument, int) else ctypes.byref(argument)


def peak_gflops(dtype: torch.dtype) -> float:
    """Measured multiply-add peak of one thread, from registers, in GFLOP/s."""
    return float(call("peak_gflops", dtype, result=ctypes.c_double))
