"""The sinh-arcsinh map of every site in one pass, forward and backward: sinh_arcsinh.cpp."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from flowlat.kernels.first_use import N_COMPARED, Comparison, sound
from flowlat.kernels.library import WITHOUT, applied, call, fields, threads_for
from flowlat.kernels.select import choose
from flowlat.lattice import sum_sites

#: a second thread has to be worth starting: sites for each of them
WORK_PER_THREAD = 2**15


def sinh_arcsinh(
    x: Tensor, parameters: Tensor, inverse: bool = False, score: Tensor | None = None
) -> tuple[Tensor, ...]:
    """y = r sinh(v) + n, v = delta (u + eps), sinh u = a (x - m), and what comes with it.

        log_det = sum_x [log(a delta r) + log cosh(v) - log cosh(u)]

    log_det is that of the map with the parameters as they are rounded, and the inverse is its
    inverse. The sum over sites is in float64.

    Args:
        x: ``(batch, *shape)``; y if ``inverse``.
        parameters: a, delta, r, m, eps, n, ``(6,)``; the first three are positive.
        score: d log p / dx of a density p of x, ``(batch, *shape)``; that of y, (score - d log y' /
            dx) / y', is then returned as well, without gradients.

    Returns:
        (y ``(batch, *shape)``, log_det ``(batch,)`` of the direction that was taken), and the
        score, by the fused CPU kernel where it runs.
    """
    if choose(x.device.type, x.dtype) == "cpu" and parameters.dtype == x.dtype:

        def inputs() -> dict[str, Tensor]:
            return {"x": x[:N_COMPARED], "parameters": parameters}

        def fast(x: Tensor, parameters: Tensor) -> tuple[Tensor, ...]:
            return sinh_arcsinh_fused(x, parameters, inverse)

        def plain(x: Tensor, parameters: Tensor) -> tuple[Tensor, ...]:
            return sinh_arcsinh_reference(x, parameters, inverse)

        # of the identity log_det is that of rounding
        rounding = math.prod(x.shape[1:]) * torch.finfo(x.dtype).eps
        compared = Comparison("sinh-arcsinh", inverse, x, fast, plain, inputs, rounding=rounding)
        if sound(compared, WITHOUT):
            return sinh_arcsinh_fused(x, parameters, inverse, score)
    return sinh_arcsinh_reference(x, parameters, inverse, score)


class Sites(ctypes.Structure):
    """struct Sites of sinh_arcsinh.cpp."""

    _fields_ = (
        *fields(ctypes.c_int64, "batch sites inverse threads"),
        *fields(ctypes.c_void_p, "parameters x score y log_det score_out grad_x grad_parameters"),
    )


def sinh_arcsinh_fused(
    x: Tensor, parameters: Tensor, inverse: bool = False, score: Tensor | None = None
) -> tuple[Tensor, ...]:
    """The same by the fused CPU kernel."""
    result: tuple[Tensor, ...] = applied(Fused, inverse, score, x, parameters)
    return result


class Fused(torch.autograd.Function):
    """Of the direction, the score or None, the field and the parameters."""

    @staticmethod
    def forward(
        ctx: Any, inverse: bool, score: Tensor | None, x: Tensor, parameters: Tensor
    ) -> tuple[Tensor, ...]:
        x, parameters = x.contiguous(), parameters.contiguous()
        ctx.save_for_backward(x, parameters)
        ctx.inverse = inverse
        results = [torch.empty_like(x), x.new_empty(len(x))]
        task = sites(x, parameters, inverse)
        task.y, task.log_det = results[0].data_ptr(), results[1].data_ptr()
        if score is not None:
            score = score.to(x.dtype).contiguous()
            results.append(torch.empty_like(x))
            task.score, task.score_out = score.data_ptr(), results[2].data_ptr()
            ctx.mark_non_differentiable(results[2])
        call("sinh_arcsinh_forward", x.dtype, task)
        return tuple(results)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, of_y: Tensor, of_log_det: Tensor, *_: Tensor
    ) -> tuple[Tensor | None, ...]:
        x, parameters = ctx.saved_tensors
        of_y, of_log_det = of_y.contiguous(), of_log_det.contiguous()
        grads = torch.empty_like(x), torch.empty_like(parameters)
        task = sites(x, parameters, ctx.inverse)
        task.y, task.log_det = of_y.data_ptr(), of_log_det.data_ptr()
        task.grad_x, task.grad_parameters = grads[0].data_ptr(), grads[1].data_ptr()
        call("sinh_arcsinh_backward", x.dtype, task)
        return None, None, *grads


def sites(x: Tensor, parameters: Tensor, inverse: bool) -> Sites:
    """The part of a task that forward and backward share."""
    return Sites(
        batch=len(x),
        sites=math.prod(x.shape[1:]),
        inverse=inverse,
        threads=threads_for(x.numel(), WORK_PER_THREAD),
        parameters=parameters.data_ptr(),
        x=x.data_ptr(),
    )


def sinh_arcsinh_reference(
    x: Tensor, parameters: Tensor, inverse: bool = False, score: Tensor | None = None
) -> tuple[Tensor, ...]:
    """The same in plain PyTorch."""
    a, delta, r, m, eps, n = parameters.unbind()
    sinh_u = (x - n) / r if inverse else a * (x - m)
    cosh_u = cosh_of(sinh_u)
    u = asinh(sinh_u, cosh_u)
    sinh_v = torch.sinh(u / delta - eps if inverse else delta * (u + eps))
    cosh_v = cosh_of(sinh_v)
    y = sinh_v / a + m if inverse else r * sinh_v + n
    of_scales = parameters[:3].double().log().sum()
    per_site = -of_scales if inverse else of_scales
    log_det = math.prod(x.shape[1:]) * per_site + sum_sites(
        torch.log(cosh_v / cosh_u), torch.float64
    )
    if score is None:
        return y, log_det.to(x.dtype)
    with torch.no_grad():
        rate, power, scale = (1 / r, 1 / delta, 1 / a) if inverse else (a, delta, r)
        growth = rate / cosh_u * (power * (sinh_v / cosh_v) - sinh_u / cosh_u)
        slope = rate * power * scale * (cosh_v / cosh_u)
        return y, log_det.to(x.dtype), (score - growth) / slope


def cosh_of(sinh: Tensor) -> Tensor:
    """cosh x = sqrt(1 + sinh^2 x), also where the square would overflow."""
    return torch.hypot(sinh, torch.ones_like(sinh))


class Asinh(torch.autograd.Function):
    """asinh s = sgn(s) log1p(|s| + s^2 / (1 + c)), c = sqrt(1 + s^2): a fifth of PyTorch's time.

    Its derivative, 1 / c, has to be told: that of |s| is 0 where s is.
    """

    @staticmethod
    def forward(ctx: Any, sinh: Tensor, cosh: Tensor) -> Tensor:
        ctx.save_for_backward(cosh)
        size = sinh.abs()
        return torch.copysign(torch.log1p(size + size * (size / (1 + cosh))), sinh)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (cosh,) = ctx.saved_tensors
        return grad / cosh, None


def asinh(sinh: Tensor, cosh: Tensor) -> Tensor:
    """x from sinh x and cosh x, the latter by :func:`cosh_of`; twice differentiable in sinh x."""
    result: Tensor = Asinh.apply(sinh, cosh)
    return result
