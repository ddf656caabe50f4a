"""The mean square of the field."""

from torch import Tensor

from flowlat.lattice import sum_sites
from flowlat.observables.base import Configurations, Observable


class Phi2(Observable):
    """<phi^2> = <(1/V) sum_x phi(x)^2>."""

    symbol = "<phi^2>"

    def measure(self, configurations: Configurations) -> Tensor:
        return sum_sites(configurations.phi**2) / configurations.volume
