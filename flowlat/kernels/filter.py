"""A filter in momentum space, in one pass on tiles of configurations: filter.cpp."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from flowlat.kernels.first_use import N_COMPARED, Comparison, sound
from flowlat.kernels.library import WITHOUT, applied, call, fields, threads_for
from flowlat.kernels.modes import modes_of
from flowlat.kernels.select import choose
from flowlat.lattice import Fourier

#: a second thread has to be worth starting: sites for each of them
WORK_PER_THREAD = 2**15


def spectral_filter(
    x: Tensor, amplitude: Tensor, fourier: Fourier, shell: Tensor
) -> tuple[Tensor, float]:
    """y = F^-1[a(k) F x], a real function of khat^2 for every mode.

    Args:
        x: ``(batch, *shape)``.
        amplitude: a > 0 on the shells of :func:`flowlat.lattice.shells`, ``(S,)``.
        fourier: the transform of the lattice.
        shell: of each of its modes, int64 ``(M,)``, where x is: a CUDA graph cannot copy from the
            host.

    Returns:
        (y ``(batch, *shape)``, by how much log |det dy/dx| of what was computed is above
        sum_k log a(k), for the rounding of factors), by the fused CPU kernel where it runs.
    """
    if choose(x.device.type, x.dtype) == "cpu" and amplitude.dtype == x.dtype:

        def inputs() -> dict[str, Tensor]:
            return {"x": x[:N_COMPARED], "amplitude": amplitude}

        def fast(x: Tensor, amplitude: Tensor) -> Tensor:
            return filter_fused(x, amplitude)[0]

        def plain(x: Tensor, amplitude: Tensor) -> Tensor:
            return filter_reference(x, amplitude, fourier, shell)[0]

        compared = Comparison("filter", x.shape[1:], x, fast, plain, inputs)
        if sound(compared, WITHOUT):
            return filter_fused(x, amplitude)
    return filter_reference(x, amplitude, fourier, shell)


class Filter(ctypes.Structure):
    """struct Filter of filter.cpp."""

    _fields_ = (
        *fields(ctypes.c_int64, "d sites n_shells batch threads"),
        *fields(ctypes.c_void_p, "sides shell amplitude x y grad_x grad_amplitude"),
    )


def filter_fused(x: Tensor, amplitude: Tensor) -> tuple[Tensor, float]:
    """The same by the fused CPU kernel."""
    y, rounding = applied(Fused, x, amplitude)
    return y, rounding


class Fused(torch.autograd.Function):
    """Of the field and the amplitude."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, amplitude: Tensor) -> tuple[Tensor, float]:
        x, amplitude = x.contiguous(), amplitude.contiguous()
        ctx.save_for_backward(x, amplitude)
        y = torch.empty_like(x)
        task, _ = described(x, amplitude)
        task.y = y.data_ptr()
        rounding: float = call("filter_forward", x.dtype, task, result=ctypes.c_double)
        return y, rounding

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_y: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        x, amplitude = ctx.saved_tensors
        of_y = of_y.contiguous()
        task, _ = described(x, amplitude)
        task.y = of_y.data_ptr()
        wanted = zip((x, amplitude), ctx.needs_input_grad, strict=True)
        grads = [torch.empty_like(of) if needed else None for of, needed in wanted]
        task.grad_x, task.grad_amplitude = (None if g is None else g.data_ptr() for g in grads)
        call("filter_backward", x.dtype, task)
        return tuple(grads)


def described(x: Tensor, amplitude: Tensor) -> tuple[Filter, Any]:
    """The part of a task that forward and backward share, and what it points to."""
    sides, shell = modes_of(tuple(x.shape[1:]))
    sizes = len(sides), len(shell), len(amplitude), len(x)
    at = (sides, shell, amplitude, x)
    threads = threads_for(x.numel(), WORK_PER_THREAD)
    return Filter(*sizes, threads, *(tensor.data_ptr() for tensor in at)), at


def filter_reference(
    x: Tensor, amplitude: Tensor, fourier: Fourier, shell: Tensor
) -> tuple[Tensor, float]:
    """The same in plain PyTorch.

    A transform and its inverse are off by a factor 1 + r, of rounding, that is much the same for
    all modes: it goes into a(k) - c alone, and with 1 / c the mean of all 1 / a(k) the determinant
    does not feel it.
    """
    of_modes = amplitude[shell]
    c = math.prod(x.shape[1:]) / fourier.sum_modes(of_modes.detach().reciprocal())
    y = torch.addcmul(fourier.filter(x, of_modes - c), c, x)
    return y, 0.0
