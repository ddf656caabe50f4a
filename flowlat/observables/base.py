"""The contract of an observable."""

from abc import ABC, abstractmethod

from torch import Tensor

from flowlat.lattice import sum_sites


class Observable(ABC):
    """A number per configuration whose ensemble average is wanted."""

    #: as it is written in a table; in files it goes by its key in the config
    symbol: str

    @abstractmethod
    def __call__(self, phi: Tensor, action: Tensor) -> Tensor:
        """phi ``(batch, *shape)``, S[phi] ``(batch,)`` -> ``(batch,)``."""


def mean_field(phi: Tensor) -> Tensor:
    """M = (1/V) sum_x phi(x), ``(batch,)``."""
    return sum_sites(phi) / phi[0].numel()
