"""The affine transform of a coupling in one pass, forward and backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from flowlat.kernels.library import call
from flowlat.kernels.select import choose


def affine(x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
    """y = exp(s) x + t and log_det = sum_x s, (s, t) = params.

    Args:
        x: ``(batch, *shape)``.
        params: ``(batch, 2, *shape)``.

    Returns:
        (y ``(batch, *shape)``, log_det ``(batch,)``), by the fused CPU kernel where it runs.
    """
    if choose(x.device.type, x.dtype) == "cpu" and params.dtype == x.dtype:
        y, log_det = _Affine.apply(x.contiguous(), params.contiguous())
        return y, log_det
    return affine_reference(x, params)


def affine_reference(x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
    """The same in plain PyTorch."""
    s, t = params.unbind(1)
    return x * s.exp() + t, s.flatten(1).sum(1)


class _Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x, params)
        y, log_det = torch.empty_like(x), x.new_empty(x.shape[0])
        call("affine_forward", x.dtype, *sizes(x), x, params, y, log_det)
        return y, log_det

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor, grad_log_det: Tensor) -> tuple[Tensor, Tensor]:
        x, params = ctx.saved_tensors
        grads = torch.empty_like(x), torch.empty_like(params)
        given = grad_y.contiguous(), grad_log_det.contiguous()
        call("affine_backward", x.dtype, *sizes(x), x, params, *given, *grads)
        return grads


def sizes(x: Tensor) -> tuple[int, int]:
    """The batch, and the numbers of a configuration."""
    return x.shape[0], x.numel() // max(1, x.shape[0])
