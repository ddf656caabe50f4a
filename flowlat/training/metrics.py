"""What a flow is worth: the figures that every report shows."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from flowlat.analysis.importance import ess, log_z
from flowlat.samplers import independence_chain


class Quality(NamedTuple):
    """The four figures every report shows."""

    ess: float
    acceptance: float
    log_z: float
    log_z_err: float


def quality(log_w: Tensor, generator: torch.Generator | None = None) -> Quality:
    """ESS, log Z and the acceptance rate of a Metropolis-Hastings chain over these proposals.

    Raises:
        ValueError: a log weight that is NaN or +inf.
    """
    _, accepted = independence_chain(log_w, generator)
    return Quality(ess(log_w), acceptance(accepted), *log_z(log_w))


def acceptance(accepted: Tensor) -> float:
    """The fraction of proposals taken; the first starts the chain and is not a decision."""
    return accepted[1:].double().mean().item() if len(accepted) > 1 else math.nan
