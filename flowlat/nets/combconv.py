"""Stacks of combinational convolutions."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor, nn

from flowlat.kernels import KERNELS, StencilSpec, available_kernels, stencil_stack
from flowlat.lattice import Lattice, Parity
from flowlat.nets.base import Net


class CombConvNet(Net):
    """Periodic convolutions over every choice of k of the d axes, averaged over the choices.

    One layer: y = (1/R) sum_r act(conv_r(x)), R = C(d, k) (Tomiya and Terasaki, NeurIPS ML4PS
    2022), or y = act((1/R) sum_r conv_r(x)) with ``activation_last``. k = d is the standard
    convolution. Channels 1 -> hidden -> n_params. Weights ``(R, C_out, C_in, kernel_size^k)`` and
    biases ``(R, C_out)`` start uniform within 1/sqrt(fan_in), PyTorch's default;
    ``identity_start`` then scales the last layer by 1e-2, so that the coupling begins near the
    identity. Batch normalisation, if any, follows each hidden layer.

    Raises:
        ValueError: k > d, an even kernel_size, or a kernel that is unknown or not available.
    """

    def __init__(
        self,
        lattice: Lattice,
        n_params: int,
        k: int,
        hidden: Sequence[int] = (8, 8),
        kernel_size: int = 3,
        activation: str = "leaky_relu",
        activation_last: bool = False,
        final_activation: str = "identity",
        batch_norm: bool = False,
        identity_start: bool = True,
        kernel: str = "auto",
    ):
        super().__init__()
        activations = (*[activation] * len(hidden), final_activation)
        self.spec = StencilSpec(lattice.shape, k, kernel_size, activations, activation_last)
        if kernel not in KERNELS:
            raise ValueError(f"kernel={kernel}: unknown (known: {', '.join(KERNELS)})")
        if kernel != "auto" and kernel not in available_kernels():
            raise ValueError(f"kernel={kernel}: not available on this machine")
        n_branches = math.comb(lattice.d, k)
        channels = [1, *hidden, n_params]
        self.kernel = kernel
        taps = kernel_size**k
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for c_in, c_out in pairwise(channels):
            bound = 1 / math.sqrt(c_in * taps)
            for layers, shape in ((self.weights, (c_out, c_in, taps)), (self.biases, (c_out,))):
                values = torch.empty(n_branches, *shape).uniform_(-bound, bound)
                layers.append(nn.Parameter(values))
        if identity_start:
            self.weights[-1].data.mul_(1e-2)
            self.biases[-1].data.mul_(1e-2)
        self.norms = nn.ModuleList(BatchNorm(width) for width in hidden) if batch_norm else None

    def forward(self, x: Tensor, active: Parity) -> Tensor:
        if self.norms is None:
            return self._stack(x, 0, len(self.weights), active)
        for layer, norm in enumerate(self.norms):
            x = norm(self._stack(x, layer, layer + 1, None))
        return self._stack(x, len(self.norms), len(self.weights), active)

    def _stack(self, x: Tensor, first: int, last: int, outputs: Parity | None) -> Tensor:
        spec = layers_of(self.spec, first, last, outputs)
        weights, biases = list(self.weights.parameters()), list(self.biases.parameters())
        return stencil_stack(x, weights[first:last], biases[first:last], spec, self.kernel)


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation of ``(batch, channels, *shape)`` in any number of dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(2)).reshape(x.shape)


@cache
def layers_of(spec: StencilSpec, first: int, last: int, outputs: Parity | None) -> StencilSpec:
    """Part of a stack. Cached, since a spec carries its neighbour tables."""
    return replace(spec, activations=spec.activations[first:last], outputs=outputs)
