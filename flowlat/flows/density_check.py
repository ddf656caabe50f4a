"""Forward against inverse of a flow: whether its log q is the density of its samples."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from flowlat.analysis.trust import MOST_OFF
from flowlat.flows.flow import Flow, PushforwardFlow, SymmetrizedFlow


class DensityCheck(NamedTuple):
    """Forward against inverse on samples: max |f^-1(f(z)) - z|, RMS of log_prob(phi) - log q."""

    value_error: float
    log_q_error: float

    @property
    def passed(self) -> bool:
        """Whether the flow may propose; False for NaN."""
        return self.log_q_error <= MOST_OFF


@torch.no_grad()
def check_density(
    flow: Flow, generator: torch.Generator, n: int = 256, batch_size: int = 256
) -> DensityCheck:
    """Hold forward and inverse of a flow against each other on n samples, in evaluation mode.

    A flow that is symmetrised is judged by the flow within: both modes have its inverse.
    """
    flow.eval()
    return check_on(flow, flow.noise(n, generator), batch_size)


@torch.no_grad()
def check_on(flow: Flow, noise: Tensor, batch_size: int) -> DensityCheck:
    """The same for given noise, so many samples at once."""
    values, squares = [], []
    while isinstance(flow, SymmetrizedFlow):
        flow = flow.flow
    for part in noise.split(batch_size):
        phi, log_q = flow(part)
        squares.append((flow.log_prob(phi) - log_q).double().square())
        if isinstance(flow, PushforwardFlow):
            z, _ = flow.prior(part)
            values.append((flow.bijection.inverse(phi)[0] - z).abs().max())
    value = torch.stack(values).max().item() if values else math.nan
    return DensityCheck(value, torch.cat(squares).mean().sqrt().item())


def refusal(check: DensityCheck, dtype: torch.dtype) -> str:
    """Why a flow may not propose, and what to do."""
    cure = "train again with a smaller optimizer.lr"
    if dtype != torch.float64:
        cure = f"try precision=64, or {cure}"
    return (
        f"forward and inverse of the flow differ by {check.log_q_error:.2g} in log q (RMS, at most "
        f"{MOST_OFF}): its log q is not the density of its samples, and no Metropolis step can "
        f"make that exact; {cure}"
    )
