"""What a stack of periodic-stencil layers is: the lattice, the axes a branch acts on, the taps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from flowlat.lattice import Lattice, Parity

ACTIVATIONS = {
    "identity": lambda z: z,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,  # slope 0.01
    "tanh": torch.tanh,
    "silu": F.silu,
    "gelu": F.gelu,  # the exact one, with erf
}


@dataclass(frozen=True)
class StencilSpec:
    """Layers y = (1/R) sum_r act(conv_r(x)), one branch r for each choice of k of the d axes.

    conv_r(x)[s] = b_r + sum_t w_r[t] x[s + t - (f-1)/2], periodic, over the f^k taps t in
    row-major order over the chosen axes.  R = C(d, k), in the order of itertools.combinations.

    Args:
        shape: the lattice, one side an axis; a side may be smaller than the kernel.
        k: how many axes a branch convolves, 1 <= k <= d.
        kernel_size: f, odd.
        activations: one name a layer, from ACTIVATIONS.
        activation_last: y = act((1/R) sum_r conv_r(x)) instead.
        outputs: parity (sum of the coordinates mod 2) of the sites where the last layer's output
            is wanted; it is zero elsewhere.  None: everywhere.

    Raises:
        ValueError: k > d, an even kernel_size, or an unknown activation.
    """

    shape: tuple[int, ...]
    k: int
    kernel_size: int
    activations: tuple[str, ...]
    activation_last: bool = False
    outputs: Parity | None = None

    def __post_init__(self) -> None:
        if self.k > len(self.shape):
            raise ValueError(f"k={self.k} exceeds the lattice dimension d={len(self.shape)}")
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={self.kernel_size}: must be odd")
        for name in self.activations:
            if name not in ACTIVATIONS:
                known = ", ".join(ACTIVATIONS)
                raise ValueError(f"unknown activation {name!r}; known: {known}")

    @cached_property
    def n_sites(self) -> int:
        return math.prod(self.shape)

    @cached_property
    def branches(self) -> tuple[tuple[int, ...], ...]:
        """The chosen axes of every branch: R tuples of k axes."""
        return tuple(itertools.combinations(range(len(self.shape)), self.k))

    @cached_property
    def taps(self) -> int:
        """f^k, the taps of a branch."""
        return int(self.kernel_size**self.k)

    @cached_property
    def offsets(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """Displacement in the lattice of every tap of every branch: (R, f^k) tuples of length d."""
        reach = range(-(self.kernel_size // 2), self.kernel_size // 2 + 1)
        axes = range(len(self.shape))
        return tuple(
            tuple(itertools.product(*(reach if axis in branch else (0,) for axis in axes)))
            for branch in self.branches
        )

    @cached_property
    def neighbours(self) -> Tensor:
        """(R, sites, f^k) int32: the site that each tap of each branch reads, around every site."""
        sites = torch.arange(self.n_sites, dtype=torch.int32).reshape(self.shape)
        axes = tuple(range(len(self.shape)))
        rows = [
            [sites.roll([-step for step in offset], axes).flatten() for offset in offsets]
            for offsets in self.offsets
        ]
        return torch.stack([torch.stack(row, -1) for row in rows])


@cache
def active_sites(spec: StencilSpec, device: torch.device) -> Tensor | None:
    """(*shape) bool: where the last layer's output is wanted; None: everywhere.

    Copied to the device once: a CUDA graph cannot wait for a copy.
    """
    return spec.outputs and Lattice(spec.shape).parity_mask(spec.outputs).to(device)


def only_active(y: Tensor, spec: StencilSpec) -> Tensor:
    """y ``(batch, C_out, *shape)`` with zeros where the last layer's output is not wanted."""
    active = active_sites(spec, y.device)
    return y.contiguous() if active is None else torch.where(active, y, y.new_zeros(()))


def check_stack(
    x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], spec: StencilSpec
) -> None:
    """Raise ValueError, naming the tensor, unless the shapes, dtypes and devices fit the spec."""
    layers = len(spec.activations)
    if len(weights) != layers or len(biases) != layers:
        raise ValueError(f"{layers} layers, but {len(weights)} weights and {len(biases)} biases")
    if x.shape[2:] != spec.shape:
        raise ValueError(f"x must be (batch, channels, *{spec.shape}), got {tuple(x.shape)}")
    # a tensor's attributes are read once each: this runs at every call
    branches, channels, dtype, device = len(spec.branches), x.shape[1], x.dtype, x.device
    for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
        shape = w.shape
        if len(shape) != 4 or shape != (branches, shape[1], channels, spec.taps):
            want = f"({branches}, C_out, {channels}, {spec.taps})"
            raise ValueError(f"weight {i} must be {want}, got {tuple(shape)}")
        channels = shape[1]
        if b.shape != (branches, channels):
            raise ValueError(f"bias {i} must be {(branches, channels)}, got {tuple(b.shape)}")
        if w.dtype != dtype or b.dtype != dtype:
            raise ValueError(f"layer {i} is {w.dtype} and {b.dtype}, but x is {dtype}")
        if w.device != device or b.device != device:
            raise ValueError(f"layer {i} is on {w.device} and {b.device}, but x on {device}")
