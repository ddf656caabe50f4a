"""The forward Kullback-Leibler divergence, on configurations of the theory."""

import torch
from torch import Tensor

from flowlat.actions import Action
from flowlat.flows.flow import Flow
from flowlat.objectives.reverse_kl import reverse_kl


class ForwardKL:
    """Mean of -log q(phi) over configurations of p: KL(p||q) up to the entropy of p.

    A mode of p that q leaves out costs without bounds, so that none is (maximum likelihood; for
    lattice fields Nicoli et al., arXiv:2302.14082). The log weights are those of the flow's own
    samples, as for every objective.

    Args:
        ensemble: where the configurations come from, a run of sample.py.
    """

    def __init__(self, ensemble: str):
        self.ensemble = ensemble

    def __call__(
        self, flow: Flow, action: Action, noise: Tensor, phi: Tensor
    ) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            _, log_w = reverse_kl(flow, action, noise)
        return -flow.log_prob(phi).mean(), log_w
