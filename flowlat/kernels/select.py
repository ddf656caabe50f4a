"""Which kernel runs a stack: the one asked for, or the fastest that device and dtype allow."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

from flowlat.kernels.first_use import N_COMPARED, Comparison, Function, fault, numbers, sound
from flowlat.kernels.library import why_unavailable
from flowlat.kernels.stencil.cpu import cpu_stack
from flowlat.kernels.stencil.spec import StencilSpec, check_stack
from flowlat.kernels.stencil.torch_path import torch_stack
from flowlat.kernels.stencil.triton_stencil import available as triton_available
from flowlat.kernels.stencil.triton_stencil import triton_stack
from flowlat.utils.errors import KernelError

log = logging.getLogger("flowlat")

Stack = Callable[[Tensor, Sequence[Tensor], Sequence[Tensor], StencilSpec], Tensor]

STACKS: dict[str, Stack] = {"torch": torch_stack, "cpu": cpu_stack, "triton": triton_stack}
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
        kernel: one of KERNELS; "auto" is "torch" where the faster one turns out to be at fault.

    Raises:
        ValueError: an unknown kernel; shapes, dtypes or devices that do not fit.
        KernelError: the kernel asked for cannot run here, or is at fault; one line says how.
    """
    if kernel not in KERNELS:
        raise ValueError(f"unknown kernel {kernel!r}; known: {', '.join(KERNELS)}")
    name = kernel
    if kernel == "auto":
        name = choose(x.device.type, x.dtype)
        announce("stencil kernel", x.device.type, x.dtype, name)
    check_stack(x, weights, biases, spec)
    if name != "torch" and not _usable(name, kernel != "auto", x, weights, biases, spec):
        name = "torch"
    return STACKS[name](x, weights, biases, spec)


def _usable(
    name: str,
    asked: bool,
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    spec: StencilSpec,
) -> bool:
    """Whether a fast kernel does what PyTorch does; KernelError if not, and it was asked for."""
    n = len(weights)

    def by(stack: Stack) -> Function:
        return lambda x, *parameters: stack(x, parameters[:n], parameters[n:], spec)

    def inputs() -> dict[str, Tensor]:
        # none of the caller's: where an activation saturates, or weights are zero as in a new flow,
        # the gradients before it are zero but for rounding, and say nothing
        parameters = {f"weight {i}": _of_order_1(weight) for i, weight in enumerate(weights)}
        parameters |= {f"bias {i}": numbers(bias) for i, bias in enumerate(biases)}
        return {"x": numbers(x[:N_COMPARED]), **parameters}

    kinks = not {"relu", "leaky_relu"}.isdisjoint(spec.activations)
    functions = by(STACKS[name]), by(torch_stack)
    comparison = Comparison(name, spec, x, *functions, inputs, kinks=kinks)
    if not asked:
        return sound(comparison, by_hand="arch.kernel=torch")
    if wrong := fault(comparison):
        raise KernelError(f"arch.kernel={name}: {wrong}; arch.kernel=torch runs everywhere")
    return True


def _of_order_1(weight: Tensor) -> Tensor:
    """Numbers in its shape (R, c_out, c_in, f^k) that leave numbers of order 1 so."""
    return numbers(weight) * (2 / math.prod(weight.shape[2:]) ** 0.5)


def available_kernels() -> tuple[str, ...]:
    """The kernels that run on this machine; compiles the fused CPU kernel if that is still due."""
    missing = {"cpu": why_unavailable() is not None, "triton": not triton_available()}
    return tuple(name for name in STACKS if not missing.get(name))


@cache
def choose(device: str, dtype: torch.dtype) -> str:
    """What "auto" means for a device and dtype."""
    if dtype in (torch.float32, torch.float64):
        if device == "cuda" and triton_available():
            return "triton"
        if device == "cpu" and why_unavailable() is None:
            return "cpu"
        if device == "cpu":
            log.warning("no fused CPU kernel, the plain PyTorch path runs: %s", why_unavailable())
    return "torch"


@cache
def announce(what: str, device: str, dtype: torch.dtype, name: str) -> None:
    """Say once what runs."""
    log.info("%s for %s, %s: %s", what, device, str(dtype).removeprefix("torch."), name)
