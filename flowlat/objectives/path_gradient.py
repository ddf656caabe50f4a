"""The path-gradient estimator of the reverse KL."""

import torch
from torch import Tensor

from flowlat.actions import Action
from flowlat.flows.flow import Flow
from flowlat.lattice import sum_sites


def path_gradient(flow: Flow, action: Action, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of the reverse KL through the samples only: d/dphi [log q + S] . dphi/dtheta.

    The score term E[d log q(phi) / d theta], zero on average, is left out, so the variance goes
    to zero as q -> p (Vaitl et al., arXiv:2207.08219). d log q / dphi comes from the inverse with
    the parameters held fixed: any bijection will do, at the cost of one inverse and its gradient
    in phi on top of the plain reverse KL. The returned loss has the gradient of the KL and not
    its value.
    """
    phi, log_q = flow(noise)
    sample = phi.detach().requires_grad_()
    learnable = [parameter for parameter in flow.parameters() if parameter.requires_grad]
    try:
        for parameter in learnable:
            parameter.requires_grad_(False)
        # not the log_q above: that one also depends on phi through the noise
        (score,) = torch.autograd.grad(flow.log_prob(sample).sum(), sample)
    finally:
        for parameter in learnable:
            parameter.requires_grad_(True)
    sample = sample.detach()
    loss = sum_sites((score - action.force(sample)) * phi).mean()
    return loss, -action(sample) - log_q.detach()
