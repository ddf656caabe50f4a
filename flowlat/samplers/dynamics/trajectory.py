"""A trajectory of Hybrid Monte Carlo: momenta and dynamics.

Duane, Kennedy, Pendleton, Roweth, Phys. Lett. B 195 (1987) 216.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from flowlat.actions import Action, as_phi4
from flowlat.kernels.first_use import N_COMPARED, Comparison, sound
from flowlat.kernels.library import WITHOUT
from flowlat.kernels.noise import normal
from flowlat.kernels.phi4.trajectory import trajectory
from flowlat.kernels.select import choose
from flowlat.lattice import Fourier, Lattice, batch_fastest, sum_sites
from flowlat.samplers.dynamics.integrators import INTEGRATORS, Derivative, IntegratorName


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
        self.fourier = Fourier(lattice)
        self.masses = None if mass2 is None else 2 * (self.fourier.khat2 + mass2)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Momenta of n configurations, ``(n, *shape)`` in float64, on the generator's device."""
        pi = normal((*self.shape, n), generator).movedim(-1, 0)
        if self.masses is not None:
            pi = self.fourier.filter(pi, self.masses.to(pi.device).sqrt())
        return batch_fastest(pi)

    def velocity(self, pi: Tensor) -> Tensor:
        """M^-1 pi."""
        if self.masses is None:
            return pi
        return self.fourier.filter(pi, 1 / self.masses.to(pi.device))

    def energy(self, pi: Tensor) -> Tensor:
        """K(pi), ``(n, *shape) -> (n,)``."""
        return sum_sites(pi * self.velocity(pi)) / 2


class Proposal(NamedTuple):
    """phi ``(batch, *shape)`` at the end of a trajectory; S there and the change of the kinetic
    energy, ``(batch,)``."""

    phi: Tensor
    action: Tensor
    kinetic: Tensor


class Trajectory:
    """A proposal by dynamics: fresh momenta, then Hamilton's equations."""

    def __init__(self, lattice: Lattice, integrator: IntegratorName, mass2: float | None = None):
        self.momenta = Momenta(lattice, mass2)
        self.integrator = INTEGRATORS[integrator]

    def __call__(
        self,
        phi: Tensor,
        force: Derivative,
        step_size: float,
        n_steps: int,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor]:
        """(phi' ``(batch, *shape)``, change of the kinetic energy ``(batch,)``)."""
        pi = self.momenta.draw(len(phi), generator)
        return self._integrated(phi, pi, force, step_size, n_steps)

    def propose(
        self,
        phi: Tensor,
        action: Action,
        step_size: float,
        n_steps: int,
        generator: torch.Generator,
    ) -> Proposal:
        """The same with the force of an action, and S at the end.

        That of phi^4 with M = 1 is one call of a compiled kernel, where that runs.
        """
        pi = self.momenta.draw(len(phi), generator)

        def plain(phi: Tensor, pi: Tensor) -> Proposal:
            new, kinetic = self._integrated(phi, pi, action.force, step_size, n_steps)
            return Proposal(new, action(new), kinetic)

        phi4 = as_phi4(action) if self.momenta.masses is None else None
        if phi4 is None or choose(phi.device.type, phi.dtype) != "cpu":
            return plain(phi, pi)
        theory = phi4.m2, phi4.lam

        def fused(phi: Tensor, pi: Tensor) -> Proposal:
            return Proposal(*trajectory(phi, pi, *theory, *self.integrator, step_size, n_steps))

        def inputs() -> dict[str, Tensor]:
            return {"phi": phi[:N_COMPARED], "pi": pi[:N_COMPARED]}

        kind = phi.dim(), self.integrator
        compared = Comparison("trajectory", kind, phi, fused, plain, inputs, gradients=False)
        return (fused if sound(compared, WITHOUT) else plain)(phi, pi)

    def _integrated(
        self, phi: Tensor, pi: Tensor, force: Derivative, step_size: float, n_steps: int
    ) -> tuple[Tensor, Tensor]:
        momenta = self.momenta
        new, new_pi = self.integrator(phi, pi, force, momenta.velocity, step_size, n_steps)
        return new, momenta.energy(new_pi) - momenta.energy(pi)
