"""Averages over the sites: of the action, its two parts, and of powers of the field."""

from collections.abc import Sequence

from torch import Tensor

from flowlat.lattice import sum_sites
from flowlat.observables.base import Configurations, Observable


class ActionDensity(Observable):
    """<S> / V."""

    symbol = "<S>/V"

    def measure(self, configurations: Configurations) -> Tensor:
        return configurations.action / configurations.volume


class KineticDensity(Observable):
    """<(1/V) sum_x sum_mu (phi(x+mu) - phi(x))^2>; a single site has no neighbours."""

    symbol = "<K>/V"

    def exists(self, shape: Sequence[int]) -> bool:
        return max(shape) > 1

    def measure(self, configurations: Configurations) -> Tensor:
        return configurations.kinetic / configurations.volume


class PotentialDensity(Observable):
    """<S - K> / V: for phi^4, <(1/V) sum_x m2 phi(x)^2 + lam phi(x)^4>."""

    symbol = "<U>/V"

    def measure(self, configurations: Configurations) -> Tensor:
        return (configurations.action - configurations.kinetic) / configurations.volume


class Phi2(Observable):
    """<phi^2> = <(1/V) sum_x phi(x)^2>."""

    symbol = "<phi^2>"

    def measure(self, configurations: Configurations) -> Tensor:
        return sum_sites(configurations.phi**2) / configurations.volume


class Phi4Density(Observable):
    """<phi^4> = <(1/V) sum_x phi(x)^4>: -(1/V) d log Z / d lam, as <phi^2> is of m2."""

    symbol = "<phi^4>"

    def measure(self, configurations: Configurations) -> Tensor:
        return sum_sites(configurations.phi**4) / configurations.volume
