"""The magnetization and its absolute value."""

from torch import Tensor

from flowlat.observables.base import Observable, mean_field


class Magnetization(Observable):
    """<M>, M = (1/V) sum_x phi(x): zero for an even action."""

    symbol = "<M>"

    def __call__(self, phi: Tensor, action: Tensor) -> Tensor:
        return mean_field(phi)


class AbsMagnetization(Observable):
    """<|M|>."""

    symbol = "<|M|>"

    def __call__(self, phi: Tensor, action: Tensor) -> Tensor:
        return mean_field(phi).abs()
