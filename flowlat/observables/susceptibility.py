"""The two-point susceptibility."""

from torch import Tensor

from flowlat.observables.base import Configurations, Observable


class Susceptibility(Observable):
    """chi2 = V <M^2>, not connected."""

    symbol = "chi2"

    def measure(self, configurations: Configurations) -> Tensor:
        return configurations.volume * configurations.mean_field**2
