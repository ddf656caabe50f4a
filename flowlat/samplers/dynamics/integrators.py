"""Symplectic, reversible integrators of Hamilton's equations, exact to second order.

H = pi M^-1 pi / 2 + S(phi):  dphi/dt = M^-1 pi (the ``velocity``),  dpi/dt = -dS/dphi (the
``force``).
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

from torch import Tensor

#: the lambda that minimises the norm of the leading error; Omelyan et al., eq. (31)
LAMBDA = 0.1931833275037836

Derivative = Callable[[Tensor], Tensor]

#: as it is named in a config
IntegratorName = Literal["leapfrog", "minimum_norm"]


class Integrator(NamedTuple):
    """Steps that are a kick, a drift, a kick, ..., a kick of these fractions of the step size.

    A kick moves pi along the force, a drift phi along the velocity. As the kicks and the drifts
    read the same from the end, a trajectory with pi turned round runs back.
    """

    kicks: tuple[float, ...]
    drifts: tuple[float, ...]

    def __call__(
        self,
        phi: Tensor,
        pi: Tensor,
        force: Derivative,
        velocity: Derivative,
        step_size: float,
        n_steps: int,
    ) -> tuple[Tensor, Tensor]:
        """phi and pi ``(batch, *shape)`` after so many steps; the arguments are left alone."""
        phi, pi = phi.clone(), pi.clone()
        pi.add_(force(phi), alpha=self.kicks[0] * step_size)
        for step in range(n_steps):
            # the last kick of a step and the first one of the next are one
            joint = self.kicks[-1] + (self.kicks[0] if step < n_steps - 1 else 0)
            for drift, kick in zip(self.drifts, (*self.kicks[1:-1], joint), strict=True):
                phi.add_(velocity(pi), alpha=drift * step_size)
                pi.add_(force(phi), alpha=kick * step_size)
        return phi, pi


#: one force a step. Duane, Kennedy, Pendleton, Roweth, Phys. Lett. B 195 (1987) 216
leapfrog = Integrator(kicks=(1 / 2, 1 / 2), drifts=(1,))
#: two forces a step, and an error about ten times smaller than that of the leapfrog. Omelyan,
#: Mryglod, Folk, Comput. Phys. Commun. 151 (2003) 272; Takaishi and de Forcrand, hep-lat/0505020
minimum_norm = Integrator(kicks=(LAMBDA, 1 - 2 * LAMBDA, LAMBDA), drifts=(1 / 2, 1 / 2))

INTEGRATORS = {"leapfrog": leapfrog, "minimum_norm": minimum_norm}
