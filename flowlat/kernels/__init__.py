"""Stacks of periodic-stencil layers, as fast as the device allows, behind one function.

``stencil_stack`` computes what StencilSpec says with the kernel asked for:

- "torch": plain PyTorch, batch innermost; any device and dtype;
- "cpu": one fused C++ forward and backward, compiled at first use; float32 and float64;
- "triton": the same on a CUDA device;
- "auto": the fastest of these that the device, the dtype and the machine allow.
"""

from flowlat.kernels.affine import affine
from flowlat.kernels.continuous.fused import solve, solves
from flowlat.kernels.continuous.plain import solve_plainly
from flowlat.kernels.continuous.tables import Tables
from flowlat.kernels.filter import spectral_filter
from flowlat.kernels.select import KERNELS, available_kernels, stencil_stack
from flowlat.kernels.sinh_arcsinh import sinh_arcsinh
from flowlat.kernels.stencil.spec import ACTIVATIONS, StencilSpec

__all__ = [
    "ACTIVATIONS",
    "KERNELS",
    "StencilSpec",
    "Tables",
    "affine",
    "available_kernels",
    "sinh_arcsinh",
    "solve",
    "solve_plainly",
    "solves",
    "spectral_filter",
    "stencil_stack",
]
