"""The phi^4 action."""

import math

from torch import Tensor

from flowlat.actions.base import Action
from flowlat.kernels.phi4.action import phi4_action, phi4_force


class Phi4(Action):
    """S = sum_x { (2d + m2) phi^2 + lam phi^4 - 2 sum_mu phi(x) phi(x+mu) }.

    The same as sum_x { sum_mu (phi(x+mu) - phi(x))^2 + m2 phi^2 + lam phi^4 }.
    Albergo et al., arXiv:2101.08176, eq. (9). Other normalisations: see the README.
    ``barrier`` = m2^2 / (4 lam) is the height of V at phi = 0 above its minima, for m2 < 0.

    Raises:
        ValueError: the action is not bounded below (lam < 0, or lam = 0 and m2 <= 0), or a
            coupling is not finite.
    """

    convention = "S = sum_x { sum_mu (phi(x+mu)-phi(x))^2 + m2 phi^2 + lam phi^4 }, weight exp(-S)"
    even = True

    def __init__(self, m2: float, lam: float):
        if not (math.isfinite(m2) and math.isfinite(lam)):
            raise ValueError(f"m2={m2}, lam={lam}: couplings must be finite")
        if lam < 0:
            raise ValueError(f"lam={lam}: negative, the action is unbounded below")
        if lam == 0 and m2 <= 0:
            raise ValueError(f"m2={m2} with lam=0: the action is unbounded below")
        self.m2 = float(m2)
        self.lam = float(lam)
        # V = lam (phi^2 - v^2)^2 - m2^2 / (4 lam) with v^2 = -m2 / (2 lam)
        self.barrier = self.m2 * self.m2 / (4 * self.lam) if self.m2 < 0 else 0.0

    def __call__(self, phi: Tensor) -> Tensor:
        return phi4_action(phi, self.m2, self.lam)

    def force(self, phi: Tensor) -> Tensor:
        """-dS/dphi = -2 (2d + m2) phi - 4 lam phi^3 + 2 sum_{+-mu} phi(x +- mu)."""
        return phi4_force(phi, self.m2, self.lam)


def as_phi4(action: Action) -> Phi4 | None:
    """The action if its S and its force are those written here, which compiled kernels know.

    None for another action, and for a subclass that has an S or a force of its own.
    """
    kind = type(action)
    if isinstance(action, Phi4) and (kind.__call__, kind.force) == (Phi4.__call__, Phi4.force):
        return action
    return None
