"""Which kernel runs a stack: the one asked for, or the fastest that device and dtype allow."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Sequence
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from flowlat.kernels.stencil.reference import reference_stack
from flowlat.kernels.stencil.spec import StencilSpec, check_stack
from flowlat.kernels.stencil.torch_path import torch_stack

log = logging.getLogger("flowlat")

FUSED_DTYPES = (torch.float32, torch.float64)

KERNELS = ("auto", "reference", "torch", "cpu", "triton")


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
    if kernel == "auto":
        kernel = choose(x.device.type, x.dtype)
    if kernel == "cpu":
        return _cpu().cpu_stack(x, weights, biases, spec)
    check_stack(x, weights, biases, spec)
    if kernel == "torch":
        return torch_stack(x, weights, biases, spec)
    if kernel == "reference":
        return reference_stack(x, weights, biases, spec)
    if kernel == "triton":
        module = _triton()
        if module is None:
            raise RuntimeError("kernel='triton' needs a CUDA device and the triton package")
        return module.triton_stack(x, weights, biases, spec)
    raise ValueError(f"unknown kernel {kernel!r}; known: {', '.join(KERNELS)}")


def available_kernels() -> tuple[str, ...]:
    """The kernels that run on this machine; compiles the fused CPU kernel if that is still due."""
    names = ["reference", "torch"]
    if _cpu_error() is None:
        names.append("cpu")
    if _triton() is not None:
        names.append("triton")
    return tuple(names)


@cache
def choose(device: str, dtype: torch.dtype) -> str:
    """What "auto" means for a device and dtype; cached, so that the log says it once."""
    name = "torch"
    if device == "cpu" and dtype in FUSED_DTYPES:
        error = _cpu_error()
        if error is None:
            name = "cpu"
        else:
            log.warning("no fused CPU kernel, the plain PyTorch path runs: %s", error)
    elif device == "cuda" and dtype in FUSED_DTYPES and _triton() is not None:
        name = "triton"
    log.info("stencil kernel for %s, %s: %s", device, str(dtype).removeprefix("torch."), name)
    return name


@cache
def _cpu() -> ModuleType:
    return importlib.import_module("flowlat.kernels.stencil.cpu")


@cache
def _cpu_error() -> str | None:
    """Why the fused CPU kernel cannot run here, in one line; None when it can."""
    try:
        _cpu().library()
    except RuntimeError as error:
        return str(error)
    return None


@cache
def _triton() -> ModuleType | None:
    """The Triton kernels, where that module is there and finds its device."""
    if importlib.util.find_spec("flowlat.kernels.stencil.triton_stencil") is None:
        return None
    module = importlib.import_module("flowlat.kernels.stencil.triton_stencil")
    return module if module.available() else None
