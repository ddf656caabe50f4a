"""The oracle: the stack branch by branch and tap by tap, in the plainest PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from flowlat.kernels.stencil.spec import ACTIVATIONS, StencilSpec, only_active


def reference_stack(
    x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], spec: StencilSpec
) -> Tensor:
    """x (batch, C_in, *shape) -> (batch, C_out, *shape); see StencilSpec for the formula."""
    for weight, bias, name in zip(weights, biases, spec.activations, strict=True):
        act = ACTIVATIONS[name]
        z = [_branch(x, weight[r], bias[r], r, spec) for r in range(len(spec.branches))]
        x = act(sum(z) / len(z)) if spec.activation_last else sum(act(v) for v in z) / len(z)
    return only_active(x, spec)


def _branch(x: Tensor, weight: Tensor, bias: Tensor, r: int, spec: StencilSpec) -> Tensor:
    """conv_r(x) (batch, C_out, *shape) from weight (C_out, C_in, f^k) and bias (C_out)."""
    axes = tuple(range(2, x.ndim))
    out = bias.reshape(-1, *[1] * len(spec.shape))
    for tap, offset in enumerate(spec.offsets[r]):
        shifted = torch.roll(x, tuple(-o for o in offset), axes)  # shifted[s] = x[s + offset]
        out = out + torch.einsum("oi,bi...->bo...", weight[:, :, tap], shifted)
    return out
