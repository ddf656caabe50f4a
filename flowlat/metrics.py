"""What importance weights say of a flow: ESS, log Z, acceptance. All in float64."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from flowlat.samplers.metropolis import independence_chain


class Quality(NamedTuple):
    """The four figures every report shows."""

    ess: float
    acceptance: float
    log_z: float
    log_z_err: float


def ess(log_w: Tensor) -> float:
    """Effective sample size per sample, (sum w)^2 / (N sum w^2), in (0, 1]."""
    log_w = log_w.double()
    log_ratio = 2 * torch.logsumexp(log_w, 0) - torch.logsumexp(2 * log_w, 0)
    return math.exp(log_ratio.item()) / log_w.numel()


def log_z(log_w: Tensor) -> tuple[float, float]:
    """log Z = log mean w, with the delta-method error sqrt((1/ESS - 1) / (N - 1))."""
    n = log_w.numel()
    value = torch.logsumexp(log_w.double(), 0).item() - math.log(n)
    relative_variance = max(1 / ess(log_w) - 1, 0.0)
    return value, math.sqrt(relative_variance / (n - 1)) if n > 1 else math.nan


def acceptance(accepted: Tensor) -> float:
    """The fraction of proposals taken; the first starts the chain and is not a decision."""
    return accepted[1:].double().mean().item() if len(accepted) > 1 else math.nan


def quality(log_w: Tensor, generator: torch.Generator | None = None) -> Quality:
    """ESS, log Z and the acceptance rate of a Metropolis-Hastings chain over these proposals.

    Raises:
        ValueError: a log weight that is NaN or +inf.
    """
    _, accepted = independence_chain(log_w, generator)
    return Quality(ess(log_w), acceptance(accepted), *log_z(log_w))


class LogWeights(Metric):
    """Gathers the log weights of all ranks, so that the figures are exact and no averages.

    ``update(log_w)``; ``compute()`` gives all of them, ``(n,)`` in float64.
    """

    full_state_update = False
    log_w: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("log_w", default=[], dist_reduce_fx="cat")

    def update(self, log_w: Tensor) -> None:
        self.log_w.append(log_w.double())

    def compute(self) -> Tensor:
        return dim_zero_cat(self.log_w)
