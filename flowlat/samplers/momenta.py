"""Momenta of Hybrid Monte Carlo and their kinetic energy, with or without Fourier acceleration."""

import torch
from torch import Tensor

from flowlat.lattice import Lattice, batch_fastest, sum_sites
from flowlat.lattice.fourier import filter_modes


class Momenta:
    """Gaussian momenta with K(pi) = sum_x pi M^-1 pi / 2 and density proportional to exp(-K).

    ``mass2`` None: M = 1. Otherwise M is diagonal in momentum space, K = sum_k |pi_k|^2 / (2 m_k)
    with the unitary Fourier transform and

        m_k = 2 (khat^2 + mass2),

    the Hessian of the free action of that mass. All of its modes then oscillate with frequency 1,
    where they have sqrt(2 (khat^2 + mass2)) at M = 1: the step size is no longer held down by the
    short waves while the long ones crawl. In an interacting theory take mass2 = 1/xi^2.
    Duane, Kennedy, Pendleton, Roweth (1987); Batrouni et al., Phys. Rev. D 32 (1985) 2736.
    """

    def __init__(self, lattice: Lattice, mass2: float | None = None):
        self.shape = lattice.shape
        self.masses = None
        if mass2 is not None:
            self.masses = 2 * (lattice.khat2(half=True) + mass2)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Momenta of n configurations, ``(n, *shape)`` in float64, on the generator's device."""
        shape, device = (*self.shape, n), generator.device
        noise = torch.randn(shape, generator=generator, device=device, dtype=torch.float64)
        pi = noise.movedim(-1, 0)
        if self.masses is not None:
            pi = filter_modes(pi, self.masses.to(device).sqrt())
        return batch_fastest(pi)

    def velocity(self, pi: Tensor) -> Tensor:
        """M^-1 pi."""
        if self.masses is None:
            return pi
        return filter_modes(pi, 1 / self.masses.to(pi.device))

    def energy(self, pi: Tensor) -> Tensor:
        """K(pi), ``(n, *shape) -> (n,)``."""
        return sum_sites(pi * self.velocity(pi)) / 2
