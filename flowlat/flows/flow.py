"""A flow: prior + bijection, a density one can sample from and evaluate."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from flowlat.bijections import Bijection
from flowlat.lattice import Lattice
from flowlat.priors import Prior


class Flow(nn.Module, ABC):
    """The contract: noise -> (phi, log q(phi)), and log q of any field."""

    lattice: Lattice

    @abstractmethod
    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Parameter-free noise of n configurations, ``(n, ...)``."""

    @abstractmethod
    def forward(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """noise -> (phi ``(n, *shape)``, log q(phi) ``(n,)``), differentiable."""

    @abstractmethod
    def log_prob(self, phi: Tensor) -> Tensor:
        """log q(phi) by the inverse, ``(n, *shape) -> (n,)``."""

    def rsample(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """n configurations with gradients: (phi, log_q)."""
        return self(self.noise(n, generator))

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """n configurations without gradients: (phi, log_q)."""
        return self.rsample(n, generator)


class PushforwardFlow(Flow):
    """phi = f(z), z ~ r:  log q(phi) = log r(z) - log|det df/dz|."""

    def __init__(self, prior: Prior, bijection: Bijection):
        super().__init__()
        self.prior = prior
        self.bijection = bijection
        self.lattice = prior.lattice

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self.prior.noise(n, generator)

    def forward(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        z, log_r = self.prior(noise)
        phi, log_det = self.bijection(z)
        return phi, log_r - log_det

    def log_prob(self, phi: Tensor) -> Tensor:
        z, log_det = self.bijection.inverse(phi)
        return self.prior.log_prob(z) + log_det


class SymmetrizedFlow(Flow):
    """q_s(phi) = (q(phi) + q(-phi)) / 2: a flow that may sit in one of two modes, exact in both.

    ``sample`` multiplies by a random global sign. ``forward`` leaves the sign out: for an even
    action neither q_s nor S feels it, and E_q[d log q_s / d theta] = 0 still holds, so that every
    objective may be used. Costs one inverse more than the flow itself.
    """

    def __init__(self, flow: Flow):
        super().__init__()
        self.flow = flow
        self.lattice = flow.lattice

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self.flow.noise(n, generator)

    def forward(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        phi, log_q = self.flow(noise)
        return phi, mixture(log_q, self.flow.log_prob(-phi))

    def log_prob(self, phi: Tensor) -> Tensor:
        return mixture(self.flow.log_prob(phi), self.flow.log_prob(-phi))

    def rsample(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        phi, log_q = super().rsample(n, generator)
        coins = torch.rand(n, *[1] * self.lattice.d, generator=generator, device=phi.device)
        return torch.where(coins < 0.5, phi, -phi), log_q


def mixture(log_a: Tensor, log_b: Tensor) -> Tensor:
    """log((a + b) / 2)."""
    return torch.logaddexp(log_a, log_b) - math.log(2)
