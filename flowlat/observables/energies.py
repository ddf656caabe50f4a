"""The action per site in its two parts."""

from torch import Tensor

from flowlat.observables.base import Configurations, Observable


class KineticDensity(Observable):
    """<(1/V) sum_x sum_mu (phi(x+mu) - phi(x))^2>."""

    symbol = "<K>/V"

    def measure(self, configurations: Configurations) -> Tensor:
        return configurations.kinetic / configurations.volume


class PotentialDensity(Observable):
    """<S - K> / V: for phi^4, <(1/V) sum_x m2 phi(x)^2 + lam phi(x)^4>."""

    symbol = "<U>/V"

    def measure(self, configurations: Configurations) -> Tensor:
        return (configurations.action - configurations.kinetic) / configurations.volume
