"""The contract of a prior: parameter-free noise, pushed to a field whose density is known."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from flowlat.lattice import Lattice, sum_sites


class Prior(nn.Module, ABC):
    """z ~ r(z) in two steps, so that the noise can be drawn anywhere and the rest be learnable.

    ``noise`` has no parameters and draws from an explicit generator; ``forward`` maps it to
    ``(z, log r(z))`` with gradients; ``log_prob`` evaluates the density of any field.
    """

    #: what one types for it: NAME of conf/prior/NAME.yaml
    option: ClassVar[str | None] = None
    #: the one dimension of lattice that it is for; None: any
    only_d: ClassVar[int | None] = None
    #: whether it draws both wells of a site as often as the theory, and no barrier stops it
    crosses: ClassVar[bool] = False
    device_anchor: Tensor

    def __init__(self, lattice: Lattice):
        super().__init__()
        if self.only_d not in (None, lattice.d):
            raise ValueError(
                f"lattice.shape={list(lattice.shape)}: {self.typed} is for d={self.only_d} alone"
            )
        self.lattice = lattice
        # carries device and dtype for priors without parameters
        self.register_buffer("device_anchor", torch.zeros(()), persistent=False)

    @property
    def typed(self) -> str:
        """What a message calls it; a class of somebody else's goes by its own name."""
        option = vars(type(self)).get("option")  # not that of a class it is derived from
        return f"prior={option}" if option else f"the prior {type(self).__name__}"

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """White Gaussian noise ``(n, *shape)`` on the prior's device."""
        noise = self.device_anchor.new_empty(n, *self.lattice.shape)
        return noise.normal_(generator=generator)

    def set_couplings(self, m2: float, lam: float) -> None:
        """Become the prior of a theory of phi^4, in a family; for priors that are one theory's."""

    @abstractmethod
    def forward(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """noise -> (z ``(n, *shape)``, log r(z) ``(n,)``)."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """log r(z), ``(n, *shape) -> (n,)``."""


class UniformPrior(Prior, ABC):
    """A prior that inverts distribution functions: its noise is uniform on [0, 1).

    In float64 whatever the flow's precision: the tails are what is near 0 and 1.
    """

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Uniform noise ``(n, *shape)`` in float64."""
        noise = self.device_anchor.new_empty(n, *self.lattice.shape, dtype=torch.float64)
        return noise.uniform_(generator=generator)


def log_standard_normal(x: Tensor) -> Tensor:
    """log N(x; 0, 1) summed over sites: -(1/2) sum x^2 - (V/2) log(2 pi); ``(n,)`` in float64."""
    volume = x[0].numel()
    return -0.5 * (sum_sites(x * x, torch.float64) + volume * math.log(2 * math.pi))
