"""The contract of an action: a number per configuration and its analytic force."""

from abc import ABC, abstractmethod

from torch import Tensor


class Action(ABC):
    """S[phi] with Boltzmann weight exp(-S), in lattice units.

    Convention of the whole project (no 1/2 on the kinetic and mass terms):
    S = sum_x { sum_mu (phi(x+mu) - phi(x))^2 + V(phi(x)) }.
    """

    #: written into every file, so that nobody has to guess the normalisation
    convention = "S = sum_x { sum_mu (phi(x+mu)-phi(x))^2 + m2 phi^2 + lam phi^4 }, weight exp(-S)"
    #: S[-phi] = S[phi]
    even: bool = False

    @abstractmethod
    def __call__(self, phi: Tensor) -> Tensor:
        """S[phi], ``(batch, *shape) -> (batch,)``."""

    @abstractmethod
    def force(self, phi: Tensor) -> Tensor:
        """-dS/dphi(x), ``(batch, *shape) -> (batch, *shape)``, without autograd."""
