"""Reverse and forward Kullback-Leibler divergence at once."""

from torch import Tensor

from flowlat.actions import Action
from flowlat.flows.flow import Flow
from flowlat.objectives.path_gradient import path_gradient
from flowlat.utils.limits import Probability


class Mixture:
    """(1 - weight) KL(q||p) + weight KL(p||q), the first by the path gradient.

    The forward part keeps the flow from leaving out a mode, the reverse part sharpens it. The
    gradient is that of the sum, the value is not.

    Args:
        ensemble: where the configurations of p come from, a run of sample.py.
        weight: of the forward divergence, between 0 and 1.
    """

    def __init__(self, ensemble: str, weight: Probability = 0.5):
        self.ensemble = ensemble
        self.weight = weight

    def __call__(
        self, flow: Flow, action: Action, noise: Tensor, phi: Tensor
    ) -> tuple[Tensor, Tensor]:
        reverse, log_w = path_gradient(flow, action, noise)
        forward = -flow.log_prob(phi).mean()
        return (1 - self.weight) * reverse + self.weight * forward, log_w
