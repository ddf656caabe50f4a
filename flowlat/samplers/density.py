"""Normalised densities that one can sample from: where annealing starts, what a flow proposes."""

import copy
from abc import abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from flowlat.actions import Action

if TYPE_CHECKING:  # only then: HMC starts from a density, and imports no flow
    from flowlat.flows.flow import Flow


class Density(Action):
    """q(phi) as the action -log q: a call gives -log q(phi), ``force`` the score d log q / dphi."""

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """n configurations: (phi ``(n, *shape)``, log q(phi) ``(n,)``), float64."""


class FlowDensity(Density):
    """q of a trained flow, in float64, its score by autograd through ``log_prob``.

    The flow keeps the precision it comes in: in float32 log q carries the rounding of that. log q
    is that of ``log_prob`` everywhere, of samples too: a chain that weighs one density against
    itself has a stationary distribution, whatever the error of the flow's inverse.
    """

    convention = "S = -log q(phi), weight q(phi)"

    def __init__(self, flow: "Flow"):
        # a copy of its own: held fixed, so that no gradient of a weight is ever computed
        self.flow = copy.deepcopy(flow).eval().requires_grad_(False)
        self.dtype = next(self.flow.parameters()).dtype

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        phi, _ = self.flow.sample(n, generator)
        # the log q that a call gives: of the inverse, for what was drawn as for what was moved
        return phi.double(), -self(phi)

    def __call__(self, phi: Tensor) -> Tensor:
        return -self.flow.log_prob(phi.to(self.dtype).contiguous()).double()

    def force(self, phi: Tensor) -> Tensor:
        with torch.enable_grad():
            x = phi.detach().requires_grad_()
            (score,) = torch.autograd.grad(-self(x).sum(), x)
        return score
