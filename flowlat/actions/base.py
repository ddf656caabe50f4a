"""The contract of an action: a number per configuration and its analytic force."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor


class Action(ABC):
    """S[phi] with Boltzmann weight exp(-S), in lattice units.

    Convention of the whole project (no 1/2 on the kinetic and mass terms):
    S = sum_x { sum_mu (phi(x+mu) - phi(x))^2 + V(phi(x)) }.
    """

    #: the formula, written into every file, so that nobody has to guess the normalisation. A
    #: class that defines S states its own: what it inherits is that of another theory
    convention: str
    #: S[-phi] = S[phi]
    even: bool = False
    #: of S between the two wells of a site by itself; 0 where it has one, or it is not known
    barrier: float = 0.0

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = cls.__dict__
        if "__call__" in own and not isinstance(own.get("convention"), str):
            raise TypeError(f"{cls.__name__}: states no convention (the formula of S) of its own")

    @abstractmethod
    def __call__(self, phi: Tensor) -> Tensor:
        """S[phi], ``(batch, *shape) -> (batch,)``."""

    @abstractmethod
    def force(self, phi: Tensor) -> Tensor:
        """-dS/dphi(x), ``(batch, *shape) -> (batch, *shape)``, without autograd."""
