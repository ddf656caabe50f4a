"""A flow against its mirror image: whether it has lost a mode of an even action."""

import math
from typing import NamedTuple

import torch

from flowlat.actions import Action
from flowlat.analysis.importance import log_mean
from flowlat.flows.flow import Flow


class Mirrored(NamedTuple):
    """By how much log Z is larger with the density (q(phi) + q(-phi)) / 2, and its error."""

    value: float
    error: float


@torch.no_grad()
def mirrored_log_z(
    flow: Flow, action: Action, generator: torch.Generator, n: int = 1024
) -> Mirrored:
    """How short log Z of an even action is for what the flow draws on one side only.

    exp(-S) and q' = (q(phi) + q(-phi)) / 2 are even, so that samples of q serve for both of

        Z = <exp(-S) / q'>_q,    Z_q = <exp(-S) / q>_q

    of which the second misses what q never draws: log Z - log Z_q is log 2 for one of two modes
    that are apart, and 0 within its error for a flow that has both. The error is that of the linear
    part; NaN of one sample.
    """
    flow.eval()
    phi, log_q = flow.sample(n, generator)
    # where the inverse has left the range of numbers there is no density
    there = flow.log_prob(-phi).double().nan_to_num(nan=-math.inf)
    log_q = log_q.double()
    log_w = -action(phi.double()) - log_q
    log_w_mirrored = log_w - torch.logaddexp(torch.zeros_like(log_q), there - log_q) + math.log(2)
    both, one = log_mean(log_w_mirrored), log_mean(log_w)
    linear = (log_w_mirrored - both).exp() - (log_w - one).exp()
    return Mirrored((both - one).item(), (linear.std() / math.sqrt(n)).item())
