"""The mean square of the field."""

from torch import Tensor

from flowlat.observables.base import Observable, mean_field


class Phi2(Observable):
    """<phi^2> = <(1/V) sum_x phi(x)^2>."""

    symbol = "<phi^2>"

    def __call__(self, phi: Tensor, action: Tensor) -> Tensor:
        return mean_field(phi * phi)
