"""The affine transform of a coupling in one pass, forward and backward."""

from __future__ import annotations

import math

from torch import Tensor

from flowlat.kernels.first_use import N_COMPARED, Comparison, numbers, sound
from flowlat.kernels.library import WITHOUT, Fused, applied
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

        def inputs() -> dict[str, Tensor]:
            # none of the caller's: in a new flow s = 0
            return {"x": numbers(x[:N_COMPARED]), "params": numbers(params[:N_COMPARED])}

        compared = Comparison("affine", None, x, affine_fused, affine_reference, inputs)
        if sound(compared, WITHOUT):
            return affine_fused(x, params)
    return affine_reference(x, params)


def affine_fused(x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
    """The same by the fused CPU kernel."""
    sizes = len(x), math.prod(x.shape[1:])
    y, log_det = applied(Fused, "affine", sizes, (x.shape, x.shape[:1]), x, params)
    return y, log_det


def affine_reference(x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
    """The same in plain PyTorch."""
    s, t = params.unbind(1)
    return x * s.exp() + t, s.flatten(1).sum(1)
