"""The fast plain-PyTorch path: any device, any dtype, gradients of any order by autograd.

The batch is innermost in memory inside, so a shift by a lattice vector copies whole rows, every
branch is one matrix product (C_out, C_in f^k) x (C_in f^k, sites batch), and nothing is permuted
between the layers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from flowlat.kernels.stencil.spec import ACTIVATIONS, StencilSpec, only_active


def torch_stack(
    x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], spec: StencilSpec
) -> Tensor:
    """x (batch, C_in, *shape) -> (batch, C_out, *shape); see StencilSpec for the formula."""
    h = x.movedim(0, -1)  # (C, *shape, batch)
    for weight, bias, name in zip(weights, biases, spec.activations, strict=True):
        act = ACTIVATIONS[name]
        z = _branches(h, weight, bias, spec)
        h = act(_mean(z)) if spec.activation_last else _mean([act(v) for v in z])
        h = h.unflatten(1, (*spec.shape, x.shape[0]))
    return only_active(h.movedim(-1, 0), spec)


def _mean(parts: list[Tensor]) -> Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total / len(parts) if len(parts) > 1 else total


def _branches(h: Tensor, weight: Tensor, bias: Tensor, spec: StencilSpec) -> list[Tensor]:
    """conv_r(h) of every branch r, each (C_out, sites * batch)."""
    shifted: dict[tuple[int, ...], Tensor] = {(0,) * len(spec.shape): h.contiguous()}
    out = []
    for r, offsets in enumerate(spec.offsets):
        columns = torch.stack([_shift(shifted, o) for o in offsets], 1).flatten(2).flatten(0, 1)
        out.append(torch.addmm(bias[r, :, None], weight[r].flatten(1), columns))
    return out


def _shift(shifted: dict[tuple[int, ...], Tensor], offset: tuple[int, ...]) -> Tensor:
    """h[s + offset] (C, *shape, batch), one axis at a time; branches share what they have alike."""
    if offset not in shifted:
        axis = max(a for a, step in enumerate(offset) if step)
        base = _shift(shifted, (*offset[:axis], 0, *offset[axis + 1 :]))
        shifted[offset] = torch.roll(base, -offset[axis], axis + 1)
    return shifted[offset]
