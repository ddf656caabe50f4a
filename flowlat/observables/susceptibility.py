"""The two-point susceptibility."""

from torch import Tensor

from flowlat.observables.base import Observable, mean_field


class Susceptibility(Observable):
    """chi2 = V <M^2>, not connected."""

    symbol = "chi2"

    def __call__(self, phi: Tensor, action: Tensor) -> Tensor:
        return phi[0].numel() * mean_field(phi) ** 2
