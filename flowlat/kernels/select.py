"""Which kernel runs a stack: the one asked for, or the fastest that device and dtype allow."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from flowlat.kernels.library import why_unavailable
from flowlat.kernels.stencil.cpu import cpu_stack
from flowlat.kernels.stencil.spec import StencilSpec, check_stack
from flowlat.kernels.stencil.torch_path import torch_stack
from flowlat.kernels.stencil.triton_stencil import available as triton_available
from flowlat.kernels.stencil.triton_stencil import triton_stack

log = logging.getLogger("flowlat")

STACKS = {"torch": torch_stack, "cpu": cpu_stack, "triton": triton_stack}
KERNELS = ("auto", *STACKS)


def stencil_stack(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    spec: StencilSpec,
    kernel: str = "auto",
) -> Tensor:
    """x (batch, C_in, *shape) -> (batch, C_out, *shape) through every layer of the spec.

    Args:
        weights: one (R, C_out, C_in, f^k) a layer, taps in row-major order over the chosen axes.
        biases: one (R, C_out) a layer.
        kernel: one of KERNELS.

    Raises:
        ValueError: an unknown kernel; shapes, dtypes or devices that do not fit.
        RuntimeError: the kernel asked for cannot run here, in one line that says why.
    """
    if kernel not in KERNELS:
        raise ValueError(f"unknown kernel {kernel!r}; known: {', '.join(KERNELS)}")
    if kernel == "auto":
        kernel = choose(x.device.type, x.dtype)
    check_stack(x, weights, biases, spec)
    return STACKS[kernel](x, weights, biases, spec)


def available_kernels() -> tuple[str, ...]:
    """The kernels that run on this machine; compiles the fused CPU kernel if that is still due."""
    missing = {"cpu": why_unavailable() is not None, "triton": not triton_available()}
    return tuple(name for name in STACKS if not missing.get(name))


@cache
def choose(device: str, dtype: torch.dtype) -> str:
    """What "auto" means for a device and dtype; cached, so that the log says it once."""
    name = "torch"
    if dtype in (torch.float32, torch.float64):
        if device == "cuda" and triton_available():
            name = "triton"
        elif device == "cpu" and why_unavailable() is None:
            name = "cpu"
        elif device == "cpu":
            log.warning("no fused CPU kernel, the plain PyTorch path runs: %s", why_unavailable())
    log.info("stencil kernel for %s, %s: %s", device, str(dtype).removeprefix("torch."), name)
    return name
