"""The reverse Kullback-Leibler divergence."""

from torch import Tensor

from flowlat.actions import Action
from flowlat.flows.flow import Flow


def reverse_kl(flow: Flow, action: Action, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of log q(phi) + S(phi) over the batch; its minimum is -log Z.

    Albergo et al., arXiv:1904.12072, eq. (14).
    """
    phi, log_q = flow(noise)
    log_w = -action(phi) - log_q
    return -log_w.mean(), log_w.detach()
