"""Any objective of a flow, for a family of flows."""

from collections.abc import Callable

import torch
from torch import Tensor

from flowlat.actions import Action
from flowlat.analysis.importance import log_mean
from flowlat.flows.family import Family
from flowlat.objectives.base import Objective


class FamilyObjective:
    """An objective L(theta) at one point of the couplings, with its gradient in W.

    theta = sum_n W_n B_n is written into an ordinary flow, whose parameters are leaves. There the
    objective gives dL/dtheta, however it computes that, and dL/dW_n = B_n dL/dtheta is the gradient
    of sum(theta(W) dL/dtheta), with dL/dtheta held fixed.

    The log weights have their own estimate of log Z taken off, log <w> of the batch: their negative
    mean is then an estimate of the KL divergence. That grows as the volume: divided by it, and
    times that of the smallest lattice, it is comparable between couplings and volumes.
    """

    def __init__(self, objective: Objective):
        self.objective = objective

    def __call__(
        self,
        family: Family,
        action_at: Callable[[float, float], Action],
        noise: Tensor,
        couplings: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """``noise`` of a lattice of the family; ``couplings`` m2 and lam, ``(2,)`` on the CPU."""
        m2, lam = couplings.tolist()
        theta = family.parameters_at(m2, lam)
        flow = family.set(theta, m2, lam, noise.shape[1:])
        leaves = dict(flow.named_parameters())
        loss, log_w = self.objective(flow, action_at(m2, lam), noise)
        gradients = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
        known = zip(leaves, gradients, strict=True)
        value = sum((theta[name] * g).sum() for name, g in known) + torch.zeros_like(loss)
        # the value of the loss, the gradient of the sum
        share = family.smallest.volume / noise[0].numel()
        return loss.detach() + value - value.detach(), share * (log_w - log_mean(log_w))
