"""The accept test of Metropolis, for a batch of chains at once."""

import torch
from torch import Tensor


def metropolis_test(log_ratio: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Accept with probability min(1, exp(log_ratio)): (accepted bool, probability), ``(batch,)``.

    NaN, of a trajectory that blew up or of two weights of zero, is rejected.
    """
    probability = log_ratio.clamp(max=0).exp().nan_to_num(nan=0.0)
    uniform = torch.rand(
        log_ratio.shape, generator=generator, device=log_ratio.device, dtype=torch.float64
    )
    return uniform < probability, probability


def select(accepted: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """``new`` where accepted ``(batch,)``, else ``old``; both ``(batch, ...)``."""
    return torch.where(accepted.reshape(-1, *[1] * (new.dim() - 1)), new, old)
