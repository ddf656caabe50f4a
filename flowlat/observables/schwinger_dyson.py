"""An identity that every correct ensemble obeys."""

from torch import Tensor

from flowlat.lattice import sum_sites
from flowlat.observables.base import Configurations, Observable


class SchwingerDyson(Observable):
    """<sum_x phi(x) dS/dphi(x)> / V = 1, for every action, lattice and coupling.

    The integral of the total derivative d/dphi(x) (phi(x) exp(-S)) vanishes.
    """

    symbol = "<phi dS/dphi>"

    def measure(self, configurations: Configurations) -> Tensor:
        phi, action = configurations.phi, configurations.theory
        return -sum_sites(phi * action.force(phi)) / configurations.volume
