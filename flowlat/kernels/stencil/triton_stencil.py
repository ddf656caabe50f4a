"""The stack on a CUDA device: one Triton kernel a layer forward, at most three a layer backward.

The layout turns to (channels, sites, batch) once at the entry and back once at the exit. Only the
input of every layer is kept for the backward, which computes the pre-activations anew. Weight
gradients are sums over programs, each with its own row of scratch, added up at the end in a fixed
order: no atomics, the same bits every time. After the first call with a spec (which compiles and
fills the tables) nothing synchronises with the host, so a CUDA graph can record the calls.

This module imports without triton; the kernels are in triton_kernels.py.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from flowlat.kernels.stencil.spec import StencilSpec, active_sites

WARPS = 4
TILES = 264  # programs that fill two an SM of a large GPU: below that, tiles shrink
WEIGHT_PROGRAMS = 1024  # of a weight gradient: about two waves


def available() -> bool:
    """Whether triton is installed and has a CUDA device, or TRITON_INTERPRET=1 to do without."""
    if importlib.util.find_spec("triton") is None:
        return False
    return torch.cuda.is_available() or _interpreted()


def triton_stack(
    x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], spec: StencilSpec
) -> Tensor:
    """x (batch, C_in, *shape) -> (batch, C_out, *shape); see StencilSpec for the formula.

    weights (R, C_out, C_in, f^k) and biases (R, C_out), one a layer, as check_stack wants them.
    Differentiable once in all of them.

    Raises:
        RuntimeError: x is neither float32 nor float64, or not on a CUDA device; no triton.
    """
    if x.dtype not in (torch.float32, torch.float64):
        raise RuntimeError(f"kernel='triton' takes float32 and float64, got {x.dtype}")
    if not x.is_cuda and not _interpreted():
        raise RuntimeError(f"kernel='triton' takes tensors on a CUDA device, got {x.device}")
    with torch.cuda.device_of(x):  # triton launches on the current device
        y: Tensor = _Stack.apply(spec, x, *weights, *biases)
    return y


def _interpreted() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"


class _Stack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spec: StencilSpec, x: Tensor, *parameters: Tensor) -> Tensor:
        plan = _plan(spec, x.device)
        parameters = tuple(p.contiguous() for p in parameters)
        h, inputs = x.movedim(0, -1).contiguous(), []
        for i, layer in enumerate(plan.layers):
            inputs.append(h)
            h = layer.forward(h, parameters[i], parameters[len(plan.layers) + i])
        ctx.spec = spec
        ctx.save_for_backward(*inputs, *parameters)
        return _masked(h.movedim(-1, 0), plan.active)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        plan = _plan(ctx.spec, gy.device)
        n = len(plan.layers)
        inputs, parameters = ctx.saved_tensors[:n], ctx.saved_tensors[n:]
        need_x, *need = ctx.needs_input_grad[1:]
        trained = [need[i] or need[n + i] for i in range(n)]
        lowest = 0 if need_x else trained.index(True)  # the layers below have nothing to learn
        with torch.cuda.device_of(gy):
            sums = _Sums(plan, inputs[0], parameters) if any(trained) else None
            active = None if plan.active is None else plan.active[..., None]
            g = _masked(gy.movedim(0, -1), active)
            for i in reversed(range(lowest, n)):
                layer, h, weight = plan.layers[i], inputs[i], parameters[i]
                dz = layer.delta(g, h, weight, parameters[n + i])
                if sums is not None and trained[i]:
                    sums.add(i, h, dz)
                if i > lowest or need_x:
                    g = layer.input_grad(dz, h, weight)
            grads = [None] * len(need) if sums is None else sums.total()
        gx = g.movedim(-1, 0).contiguous() if need_x else None
        return None, gx, *(grad if kept else None for grad, kept in zip(grads, need, strict=True))


@cache
def _kernels() -> ModuleType:
    try:
        from flowlat.kernels.stencil import triton_kernels
    except ImportError as error:
        raise RuntimeError("kernel='triton' needs the triton package") from error
    return triton_kernels


@dataclass(frozen=True)
class _Layer:
    """One layer on a device: its tables, and a method for each kernel.

    Fields are (channels, *shape, batch), contiguous; so are weights and biases.
    """

    near: Tensor  # (R, f^k, sites) int32: the site that a tap reads
    sites: Tensor  # (sites,) int32: all of them
    wanted: Tensor  # (n,) int32: those where the output is wanted
    activation: str
    merged: bool  # the activation acts on the mean, or is linear: one gradient for every branch

    def forward(self, h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The output, left unset where it is not wanted."""
        y = h.new_empty((weight.shape[1], *h.shape[1:]))
        grid, tile = _tiles(len(self.wanted), y)
        if y.numel():
            _kernels().forward[grid](
                h, weight, bias, self.near, self.wanted, len(self.wanted), h.shape[-1], y,
                **self._constants(weight), **tile, ACT=self.activation,
                UNROLL=_unroll(weight.shape[2]),
            )  # fmt: skip
        return y

    def delta(self, g: Tensor, h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """R times the gradient at the pre-activations: (R, *g), or one field where merged."""
        if self.activation == "identity":
            return g
        dz = torch.empty_like(g) if self.merged else g.new_empty((len(self.near), *g.shape))
        grid, tile = _tiles(len(self.sites), g)
        if dz.numel():
            _kernels().delta[grid](
                h, weight, bias, self.near, self.sites, h.shape[-1], g, dz,
                **self._constants(weight), **tile, ACT=self.activation,
                UNROLL=_unroll(weight.shape[2]),
            )  # fmt: skip
        return dz

    def input_grad(self, dz: Tensor, h: Tensor, weight: Tensor) -> Tensor:
        gh = torch.empty_like(h)
        grid, tile = _tiles(len(self.sites), gh)
        if gh.numel():
            _kernels().input_grad[grid](
                dz, weight, self.near, self.sites, h.shape[-1], gh,
                **self._constants(weight), **tile, UNROLL=_unroll(weight.shape[1]),
            )  # fmt: skip
        return gh

    def weight_grad(
        self, h: Tensor, dz: Tensor, weight: Tensor, partial: Tensor, at: tuple[int, int]
    ) -> None:
        """Fill this layer's columns of ``partial`` (programs, columns), which begin ``at``."""
        tile, n_tiles = _weight_tiles(len(self.wanted), h)
        columns = weight.shape[2] * weight.shape[3] + 1  # and the bias
        kb = min(64 // h.itemsize, _power_of_2(columns))
        cb = min(8, _power_of_2(weight.shape[1]))  # 128 registers a thread of accumulators
        blocks = -(-columns // kb) * -(-weight.shape[1] // cb)
        if h.numel():
            _kernels().weight_grad[(len(partial), len(self.near), blocks)](
                h, dz, self.near, self.wanted, len(self.wanted), h.shape[-1], n_tiles,
                partial, partial.shape[1], *at,
                **self._constants(weight), **tile, KB=kb, CB=cb,
            )  # fmt: skip

    def _constants(self, weight: Tensor) -> dict[str, Any]:
        branches, c_out, c_in, taps = weight.shape
        return {
            "SITES": len(self.sites), "BRANCHES": branches, "TAPS": taps, "C_IN": c_in,
            "C_OUT": c_out, "MERGED": self.merged, "num_warps": WARPS, "enable_fp_fusion": True,
        }  # fmt: skip


@dataclass(frozen=True)
class _Plan:
    layers: tuple[_Layer, ...]
    active: Tensor | None  # (*shape) bool: where the last layer's output is wanted


@cache
def _plan(spec: StencilSpec, device: torch.device) -> _Plan:
    near = spec.neighbours.transpose(1, 2).contiguous().to(device)
    sites = torch.arange(spec.n_sites, dtype=torch.int32)
    active = active_sites(spec, device)
    sites = sites.to(device)
    wanted = sites if active is None else sites[active.flatten()]
    layers = [
        _Layer(near, sites, sites, name, spec.activation_last or name == "identity")
        for name in spec.activations
    ]
    layers[-1] = replace(layers[-1], wanted=wanted)
    return _Plan(tuple(layers), active)


class _Sums:
    """Weight and bias gradients of a whole stack: a row of partial sums a program, added up once.

    A row holds every layer's weights and then every layer's biases.
    """

    def __init__(self, plan: _Plan, x: Tensor, parameters: Sequence[Tensor]):
        self.plan, self.parameters = plan, parameters
        self.sizes = [p.numel() for p in parameters]
        self.begins = [0, *itertools.accumulate(self.sizes)]
        rows = max(_weight_tiles(len(layer.wanted), x)[1] for layer in plan.layers)
        rows = min(rows, -(-WEIGHT_PROGRAMS // len(plan.layers[0].near)))
        self.partial = x.new_empty((rows, self.begins[-1]))

    def add(self, i: int, h: Tensor, dz: Tensor) -> None:
        at = self.begins[i], self.begins[len(self.plan.layers) + i]
        self.plan.layers[i].weight_grad(h, dz, self.parameters[i], self.partial, at)

    def total(self) -> list[Tensor]:
        """One gradient a parameter; those of layers never added are not set."""
        parts = self.partial.sum(0).split(self.sizes)
        return [part.view(p.shape) for part, p in zip(parts, self.parameters, strict=True)]


def _masked(field: Tensor, active: Tensor | None) -> Tensor:
    """A contiguous field that is zero where not active, in one pass."""
    if active is None:
        return field.contiguous()
    zero = _zero(field.dtype, field.device)
    return torch.where(active, field, zero, out=field.new_empty(field.shape))


@cache
def _zero(dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.zeros((), dtype=dtype, device=device)


# Tile sizes -----------------------------------------------------------------------------------


def _tiles(n_sites: int, out: Tensor) -> tuple[tuple[int, int], dict[str, int]]:
    """Grid and tile for an output (channels, ..., batch) on so many sites."""
    channels, batch = out.shape[0], out.shape[-1]
    cb = min(16, _power_of_2(channels))
    blocks = -(-channels // cb)
    # at most 16 bytes a thread and channel, one load, and 128 bytes a thread over the channels
    size = 32 * WARPS * max(1, min(16, 128 // cb) // out.itemsize)
    while size > 32 * WARPS and n_sites * batch * blocks < TILES * size:
        size //= 2
    bs, bb, n = _split(n_sites, batch, size)
    return (n, blocks), {"CB": cb, "BS": bs, "BB": bb}


def _weight_tiles(n_sites: int, h: Tensor) -> tuple[dict[str, int], int]:
    """Tile of a weight gradient, and how many there are."""
    # 16 bytes a lane: a warp spans the tile, and the warps share out the KB rows
    bs, bb, n = _split(n_sites, h.shape[-1], 32 * 16 // h.itemsize)
    return {"BS": bs, "BB": bb}, n


@cache
def _split(n_sites: int, batch: int, size: int) -> tuple[int, int, int]:
    """Sites and batch entries of a tile of at most ``size`` (a power of 2); how many tiles."""
    bb = min(_power_of_2(batch), 32, size)
    bs = min(_power_of_2(n_sites), size // bb)
    bb = min(_power_of_2(batch), size // bs)
    return bs, bb, -(-n_sites // bs) * -(-batch // bb)


def _power_of_2(n: int) -> int:
    """The least power of 2 that is at least n, and at least 1."""
    return 1 << max(n - 1, 0).bit_length()


def _unroll(channels: int) -> int:
    """How many channels a loop takes in a step: the largest divisor up to 8."""
    return max(n for n in range(1, 9) if channels % n == 0)
