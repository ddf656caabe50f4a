"""Isokinetic dynamics: a field that moves at constant speed, steered by the force.

With a unit vector u of n components, n the sites, and the force f = -dS/dphi,

    dphi/dt = sqrt(n) u,    du/dt = sqrt(n) / (n - 1) (f - u (u f)):

the speed is that of a momentum of HMC, and times compare. It leaves exp(-S), with u uniform on the
sphere, invariant. Robnik, De Luca, Silverstein, Seljak, arXiv:2212.08549; Robnik and Seljak,
arXiv:2303.18221.
"""

import math

import torch
from torch import Tensor

from flowlat.actions import Action
from flowlat.lattice import Lattice, sum_sites
from flowlat.samplers.dynamics.integrators import INTEGRATORS, Derivative, IntegratorName
from flowlat.samplers.dynamics.trajectory import Momenta, Proposal


class Isokinetic:
    """A proposal by isokinetic dynamics: a fresh direction u, steps, and noise between them.

    A step is kicks and drifts, as those of :mod:`flowlat.samplers.dynamics.integrators`. Phi alone
    moves in a drift; in a kick of time h the force stands still, and the exact solution turns u
    towards it, e = f / |f|, c = u e, delta = h sqrt(n) |f| / (n - 1):

        u' = (u + e (sinh delta + c (cosh delta - 1))) / r,    r = cosh delta + c sinh delta.

    The map of the sphere has the Jacobian r^-(n-1), so that (n - 1) log r, summed over all kicks,
    takes the place of the change of a kinetic energy: with u turned round a step runs back, and the
    test with exp(-change of S - sum) is exact for any step size.

    After each step but the last one u is refreshed in part, u' = (u + nu z) / |u + nu z| with
    z ~ N(0, 1/n) of each site and nu^2 = exp(2 h / l) - 1, l the ``decoherence`` times the length
    of the trajectory. That u goes to u' is as likely as that u' goes to u, or -u' to -u: the way
    back has the same weight, and the test stays exact though noise is in the trajectory.
    Riou-Durand and Vogrinc, arXiv:2202.13230; Robnik, Cohn-Gordon, Seljak, arXiv:2503.01707.
    """

    def __init__(self, lattice: Lattice, integrator: IntegratorName, decoherence: float):
        self.n = lattice.volume
        self.noise = Momenta(lattice)
        self.integrator = INTEGRATORS[integrator]
        self.decoherence = decoherence

    def propose(
        self,
        phi: Tensor,
        action: Action,
        step_size: float,
        n_steps: int,
        generator: torch.Generator,
    ) -> Proposal:
        """The end of a trajectory from phi ``(batch, *shape)``."""
        u = self.direction(len(phi), generator)
        nu = math.sqrt(math.expm1(2 / (self.decoherence * n_steps)) / self.n)
        phi, force, total = phi.clone(), action.force(phi), phi.new_zeros(len(phi))
        for step in range(n_steps):
            force, change = self.step(phi, u, force, action.force, step_size)
            total += change
            if step < n_steps - 1:
                normalise(u.add_(self.noise.draw(len(phi), generator), alpha=nu))
        return Proposal(phi, action(phi), total)

    def direction(self, batch: int, generator: torch.Generator) -> Tensor:
        """Unit vectors, uniform on the sphere, ``(batch, *shape)``."""
        return normalise(self.noise.draw(batch, generator))

    def step(
        self, phi: Tensor, u: Tensor, force: Tensor, derivative: Derivative, step_size: float
    ) -> tuple[Tensor, Tensor]:
        """phi and u, ``(batch, *shape)``, a step on, in place.

        ``force`` is that at phi; the one at the end comes back, with (n - 1) log r of all kicks,
        ``(batch,)``.
        """
        kicks, drifts = self.integrator
        total = self.kick(u, force, kicks[0] * step_size)
        for drift, kick in zip(drifts, kicks[1:], strict=True):
            phi.add_(u, alpha=drift * step_size * math.sqrt(self.n))
            force = derivative(phi)
            total += self.kick(u, force, kick * step_size)
        return force, total

    def kick(self, u: Tensor, force: Tensor, time: float) -> Tensor:
        """u turned towards the force, in place; (n - 1) log r, ``(batch,)``."""
        size = sum_sites(force * force).sqrt()
        # where there is no force there is nothing to turn to
        size = size.clamp(min=torch.finfo(size.dtype).tiny)
        c = sum_sites(u * force) / size
        delta = time * math.sqrt(self.n) / (self.n - 1) * size
        # numerator and denominator times 2 exp(-delta): no overflow
        small = (-delta).exp()
        r = (1 + c) + (1 - c) * small**2
        towards = (1 - small) * (1 + small + c * (1 - small)) / (r * size)
        u.mul_(sitewise(2 * small / r, u)).add_(force * sitewise(towards, u))
        normalise(u)  # of rounding alone
        return (self.n - 1) * (delta + (r / 2).log())


def sitewise(numbers: Tensor, field: Tensor) -> Tensor:
    """Numbers ``(batch,)`` that multiply fields."""
    return numbers.reshape(-1, *[1] * (field.dim() - 1))


def normalise(u: Tensor) -> Tensor:
    """Of length 1, in place."""
    return u.div_(sitewise(sum_sites(u * u).sqrt(), u))
