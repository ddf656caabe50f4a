"""Phi^4 without its hopping term: where annealing starts in deep wells."""

import torch
from torch import Tensor

from flowlat.actions import Phi4
from flowlat.kernels.phi4.theory import theory_of
from flowlat.lattice import Lattice, batch_fastest
from flowlat.priors import SingleSitePotential
from flowlat.samplers.density import Density


class SingleSites(Density):
    """q(phi) = prod_x exp(-mass phi^2 - lam phi^4) / N, mass = 2 d + m2: sites in both wells.

    S is -log q and the hopping term -2 sum_mu phi(x) phi(x+mu), up to a constant; an axis of one
    site has none, and no 2 of the mass. Along q^(1-beta) exp(-beta S) the hopping term has the
    factor beta, and nothing else changes.
    """

    convention = "S = -log q(phi), weight q(phi)"

    def __init__(self, lattice: Lattice, phi4: Phi4):
        self.lam = phi4.lam
        self.mass = theory_of(phi4.m2, phi4.lam, lattice.shape).mass
        self.prior = SingleSitePotential(lattice, self.mass, phi4.lam).double()

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        self.prior.to(generator.device)
        phi, log_q = self.prior(self.prior.noise(n, generator))
        return batch_fastest(phi), log_q

    def __call__(self, phi: Tensor) -> Tensor:
        return -self.prior.log_prob(phi)

    def force(self, phi: Tensor) -> Tensor:
        return -2 * phi * (self.mass + 2 * self.lam * phi * phi)
