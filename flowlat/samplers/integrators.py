"""Symplectic, reversible integrators of Hamilton's equations, exact to second order.

H = pi M^-1 pi / 2 + S(phi):  dphi/dt = M^-1 pi (the ``velocity``),  dpi/dt = -dS/dphi (the
``force``). All take and return phi and pi ``(batch, *shape)`` and leave their arguments alone.
"""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

#: the lambda that minimises the norm of the leading error; Omelyan et al., eq. (31)
LAMBDA = 0.1931833275037836

Derivative = Callable[[Tensor], Tensor]


class Integrator(Protocol):
    """``n_steps`` steps of length ``step_size`` of Hamilton's equations."""

    def __call__(
        self,
        phi: Tensor,
        pi: Tensor,
        force: Derivative,
        velocity: Derivative,
        step_size: float,
        n_steps: int,
    ) -> tuple[Tensor, Tensor]: ...


def leapfrog(
    phi: Tensor,
    pi: Tensor,
    force: Derivative,
    velocity: Derivative,
    step_size: float,
    n_steps: int,
) -> tuple[Tensor, Tensor]:
    """Half a kick, a drift, half a kick; one force a step.

    Duane, Kennedy, Pendleton, Roweth, Phys. Lett. B 195 (1987) 216.
    """
    phi, pi = phi.clone(), pi.clone()
    pi.add_(force(phi), alpha=step_size / 2)
    for step in range(n_steps):
        phi.add_(velocity(pi), alpha=step_size)
        # the last half kick of a step and the first one of the next are one
        kick = step_size if step < n_steps - 1 else step_size / 2
        pi.add_(force(phi), alpha=kick)
    return phi, pi


def minimum_norm(
    phi: Tensor,
    pi: Tensor,
    force: Derivative,
    velocity: Derivative,
    step_size: float,
    n_steps: int,
) -> tuple[Tensor, Tensor]:
    """A kick of lambda, half a drift, a kick of 1 - 2 lambda, half a drift, a kick of lambda.

    Two forces a step, and an error about ten times smaller than that of the leapfrog.
    Omelyan, Mryglod, Folk, Comput. Phys. Commun. 151 (2003) 272; Takaishi and de Forcrand,
    hep-lat/0505020.
    """
    phi, pi = phi.clone(), pi.clone()
    pi.add_(force(phi), alpha=LAMBDA * step_size)
    for step in range(n_steps):
        phi.add_(velocity(pi), alpha=step_size / 2)
        pi.add_(force(phi), alpha=(1 - 2 * LAMBDA) * step_size)
        phi.add_(velocity(pi), alpha=step_size / 2)
        kick = 2 * LAMBDA if step < n_steps - 1 else LAMBDA
        pi.add_(force(phi), alpha=kick * step_size)
    return phi, pi


INTEGRATORS: dict[str, Integrator] = {"leapfrog": leapfrog, "minimum_norm": minimum_norm}


def pick_integrator(name: str) -> Integrator:
    """The integrator of a name; ValueError if there is none."""
    if name not in INTEGRATORS:
        raise ValueError(f"integrator={name}: must be one of {', '.join(INTEGRATORS)}")
    return INTEGRATORS[name]
