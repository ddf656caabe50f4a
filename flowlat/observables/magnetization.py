"""The magnetization and its absolute value."""

from torch import Tensor

from flowlat.observables.base import Configurations, Observable


class Magnetization(Observable):
    """<M>, M = (1/V) sum_x phi(x): zero for an even action."""

    symbol = "<M>"

    def measure(self, configurations: Configurations) -> Tensor:
        return configurations.mean_field


class AbsMagnetization(Observable):
    """<|M|>."""

    symbol = "<|M|>"

    def measure(self, configurations: Configurations) -> Tensor:
        return configurations.mean_field.abs()
